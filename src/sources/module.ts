import { realpath } from "node:fs/promises";
import { relative, resolve, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { parseDuration } from "../config/duration.ts";
import { duration, secretReference } from "../config/fields.ts";
import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import type { SourceEnvironment, SourcePlugin } from "../plugins.ts";
import type { MintContext, Token } from "../ports.ts";
import { SecretValue } from "../secretValue.ts";
import type { MintFunction, ModuleContext } from "./moduleContract.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    kind: z.literal("module"),
    path: z
      .string()
      .regex(
        /^(?:\.\/)?(?:[^\\/:*?"<>|\s.][^\\/:*?"<>|\s]*\/){0,8}[^\\/:*?"<>|\s.][^\\/:*?"<>|\s]*\.m?js$/,
        "is not the path of a module; write it relative to the configuration, with / between folders and .js or .mjs at the end, without ..",
      )
      .describe("The ES module, relative to the configuration and in its folder or below."),
    export: z
      .string()
      .regex(/^[A-Za-z_$][\w$]*$/, "is not the name of an export")
      .default("mint")
      .describe("Name of the exported mint function. Default mint."),
    options: z
      .record(z.string(), z.unknown())
      .optional()
      .describe("Handed to the function as they are. No secrets."),
    secrets: z
      .record(z.string(), secretReference(z))
      .optional()
      .describe("Key Vault secrets that the function may read, by the names it uses."),
    lifetime: duration(z).describe("The shortest lifetime that its tokens usually have."),
  }),
);

export type ModuleOptions = SchemaOutput<typeof schema>;

export const moduleProblems = problems({
  ModuleNotFound: {
    message: "The module of the source is not there, or lies outside of the configuration's folder.",
    remedy: "Put it beside the configuration, and into the deployed package.",
    retryable: false,
  },
  ModuleUnloadable: {
    message: "The module of the source cannot be loaded.",
    remedy:
      "Run `node` with it by hand: it must be an ES module without syntax errors whose imports are there.",
    retryable: false,
  },
  ModuleExportMissing: {
    message: "The module of the source does not export the mint function.",
    remedy: "Export a function of the name in the facts, or name another one in the source's `export`.",
    retryable: false,
  },
  ModuleSecretUndeclared: {
    message: "The module asked for a secret that its source does not name.",
    remedy: "Add it to the source's `secrets`.",
    retryable: false,
  },
  ModuleFailed: {
    message: "The module threw an error; its message is not repeated because it may hold a secret.",
    remedy: "Look at the error's name and code in the facts, and try the function by hand.",
    retryable: false,
  },
  ModuleAnswerInvalid: {
    message: "What the module returned is not what a mint function returns.",
    remedy:
      "Return { token, expiresOn, issuedOn?, subject? }: text for token and subject, a Date or ISO 8601 text with a time zone for the others.",
    retryable: false,
  },
});

/** A source of the operator's own: a function in a module beside the configuration (docs/sources/module.md). */
export const moduleSource: SourcePlugin<ModuleOptions> = {
  schema,
  lifetimeMs: ({ lifetime }) => parseDuration(lifetime) ?? 0,
  secrets: ({ secrets = {} }) =>
    Object.entries(secrets).map(([name, reference]) => ({
      path: ["secrets", name],
      reference,
      access: "read",
    })),
  create: async (options, environment) => {
    const mint = await load(options, environment.configurationDirectory);
    const answer = returnedToken(await import("zod"));
    return {
      mint: async (context) => {
        const given = contextOf(options, environment, context);
        const startedAt = environment.clock.now();
        const returned = await call(mint, given).catch((error: unknown) => {
          context.signal.throwIfAborted();
          throw failure(error);
        });
        return tokenOf(returned, answer, startedAt);
      },
    };
  },
};

async function load(options: ModuleOptions, directory: string): Promise<MintFunction> {
  const facts = { path: options.path };
  const file = await locate(resolve(directory, options.path), directory).catch((cause: unknown) => {
    throw new RotatorError(moduleProblems.ModuleNotFound, { cause, facts });
  });
  const exports: Record<string, unknown> = await import(pathToFileURL(file).href).catch((cause: unknown) => {
    throw new RotatorError(moduleProblems.ModuleUnloadable, { cause, facts });
  });
  const mint = exports[options.export];
  if (typeof mint !== "function") {
    throw new RotatorError(moduleProblems.ModuleExportMissing, {
      facts: { ...facts, export: options.export },
    });
  }
  return mint as MintFunction;
}

/** The real path, links followed, which must lie below the real directory. */
async function locate(file: string, directory: string): Promise<string> {
  const [realFile, realDirectory] = await Promise.all([realpath(file), realpath(directory)]);
  const [first] = relative(realDirectory, realFile).split(sep);
  if (first === "..") {
    throw new RangeError("The module lies outside of the directory.");
  }
  return realFile;
}

function contextOf(
  { options = {}, secrets = {} }: ModuleOptions,
  { clock, fetch, secrets: stored }: SourceEnvironment,
  context: MintContext,
): ModuleContext {
  const { signal } = context;
  return Object.freeze({
    options,
    now: () => clock.now(),
    readSecret: async (name: string) => {
      const reference = Object.hasOwn(secrets, name) ? secrets[name] : undefined;
      if (reference === undefined) {
        throw new RotatorError(moduleProblems.ModuleSecretUndeclared);
      }
      return (await stored.read(reference, context)).value.reveal();
    },
    fetch: (input: Parameters<typeof fetch>[0], init: RequestInit = {}) =>
      fetch(input, { ...init, signal: init.signal ? AbortSignal.any([signal, init.signal]) : signal }),
    signal,
  });
}

/** What it throws at once counts like what it rejects with. */
async function call(mint: MintFunction, context: ModuleContext): Promise<unknown> {
  return await mint(context);
}

/** Our own errors, of `fetch` and `readSecret`, say what is wrong and whether trying again may help. */
function failure(error: unknown): RotatorError {
  return error instanceof RotatorError
    ? error
    : new RotatorError(moduleProblems.ModuleFailed, { cause: error, facts: asRotatorError(error).facts });
}

const date = defineSchema((z) =>
  z.union([z.date(), z.iso.datetime({ offset: true })]).transform((value) => new Date(value)),
);

const returnedToken = defineSchema((z) =>
  z.strictObject({
    token: z.string().min(1),
    expiresOn: date(z),
    issuedOn: date(z).optional(),
    subject: z.string().min(1).optional(),
  }),
);

function tokenOf(returned: unknown, answer: ReturnType<typeof returnedToken>, startedAt: number): Token {
  const { success, data, error } = answer.safeParse(returned, { jitless: true });
  if (!success) {
    const [issue] = error.issues;
    const field = issue?.code === "unrecognized_keys" ? issue.keys[0] : issue?.path[0];
    throw new RotatorError(moduleProblems.ModuleAnswerInvalid, {
      // The name of a field that nobody knows is the module's own word, and could be anything.
      facts: { field: field !== undefined && field in answer.shape ? String(field) : "(another)" },
    });
  }
  const { token, expiresOn, issuedOn = new Date(startedAt), subject } = data;
  return {
    value: new SecretValue(token),
    expiresOn,
    issuedOn,
    ...(subject === undefined ? {} : { subject }),
  };
}
