/*
 * Builds `dist`: `node scripts/build.ts` everything, `node scripts/build.ts functions` only what is deployed.
 *
 *   dist/functions/app.js   what the worker loads. In `chunks/tick.js` every Azure Function and all that a first tick needs,
 *                           in other chunks what is loaded later. Bundled with every dependency: the package that is
 *                           deployed has no node_modules.
 *   dist/cli, dist/index.js the command line and the library, which find their dependencies in node_modules.
 *   dist/types              the declarations of the library.
 */
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type InputOptions, type OutputChunk, type OutputOptions, type Plugin, rolldown } from "rolldown";
import { type BundledPackage, bundledPackages, thirdPartyNotices } from "./bundledPackages.ts";
import { coldStart } from "./coldStart.ts";
import { leanTelemetry } from "./leanTelemetry.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const functionsDirectory = join(root, "dist/functions");

const input = {
  cwd: root,
  platform: "node",
  transform: { target: "node22" },
  logLevel: "warn",
  // What the first tick needs is imported early although others load it late, and that is no mistake here.
  checks: { ineffectiveDynamicImport: false },
} as const satisfies InputOptions;

const output = {
  format: "esm",
  sourcemap: true,
  // A stack trace needs the positions, not the text of every dependency.
  sourcemapExcludeSources: true,
} as const satisfies OutputOptions;

/**
 * Bundles the functions into `directory`, where nothing else stays. Equal sources give equal files.
 * @returns the dependencies that are in the bundle
 */
export async function buildFunctions(directory = functionsDirectory): Promise<BundledPackage[]> {
  const chunks = await bundle(
    {
      ...input,
      input: { tick: firstTick },
      // The worker supplies the first; `pg` uses the second only where somebody has installed it.
      external: ["@azure/functions-core", "pg-native"],
      plugins: [await everyFunction(), ...coldStart, leanTelemetry],
    },
    {
      ...output,
      // Whatever `directory` is: source maps tell where the sources are from here.
      dir: functionsDirectory,
      // Beside `app.js` they would match `main` of the package, and the worker would load every one of them at start.
      entryFileNames: "chunks/[name].js",
      chunkFileNames: "chunks/[name]-[hash].js",
      // One file for all that a first tick loads: to find, read and link a module costs as much as to run it.
      codeSplitting: { groups: [{ name: "tick", test: firstTick }] },
      // Identifiers stay as they are: a stack trace is read by them.
      minify: { compress: true, mangle: false, codegen: true },
    },
  );
  await rm(directory, { recursive: true, force: true });
  await writeChunks(directory, chunks);
  await writeFile(join(directory, "app.js"), functionApp);
  const modules = chunks.flatMap(({ moduleIds }) => moduleIds);
  const packages = await bundledPackages(modules);
  await writeFile(join(directory, "THIRD-PARTY-NOTICES.txt"), thirdPartyNotices(packages));
  return packages;
}

/**
 * What the worker loads. All the rest comes from the compile cache, which is made once per machine: in the temporary folder,
 * or where NODE_COMPILE_CACHE says.
 */
const functionApp = `import { enableCompileCache } from "node:module";
enableCompileCache();
await import("./chunks/tick.js");
`;

const firstTick = "\0tick";

/** What the first tick loads besides the functions, in any configuration. */
const loadedByEveryTick = ["stores/secretClient.ts", "identity/managedIdentity.ts"];

/** A module of all that is needed for a first tick: every function, as any of them may be the first to be called. */
async function everyFunction(): Promise<Plugin> {
  const files = (await readdir(join(root, "functions"))).filter((file) => file.endsWith(".ts")).sort();
  const modules = [
    ...files.map((file) => join(root, "functions", file)),
    ...loadedByEveryTick.map((file) => join(root, "src", file)),
  ];
  return {
    name: "every-function",
    resolveId: (id) => (id === firstTick ? id : undefined),
    load: (id) =>
      id === firstTick ? modules.map((file) => `import ${JSON.stringify(file)};`).join("\n") : undefined,
  };
}

/** Builds the command line and the library. */
export async function buildPackage(): Promise<void> {
  const directory = join(root, "dist");
  for (const name of ["cli", "types", "index.js", "index.js.map"]) {
    await rm(join(directory, name), { recursive: true, force: true });
  }
  const chunks = await bundle(
    {
      ...input,
      input: {
        index: "src/index.ts",
        "cli/token-rotator": "src/cli/main.ts",
        // The functions host looks for it beside its own file, which the command line puts into `cli`.
        "cli/functionsHostChild": "src/local/functionsHost/functionsHostChild.ts",
      },
      // What is named like a package is one; a path begins with a dot, a slash or the letter of a drive. The bundler brings
      // what `using` becomes where Node.js does not know it.
      external: /^(?![./\0]|[A-Za-z]:|@oxc-project\/runtime\/)/,
    },
    { ...output, dir: directory, entryFileNames: "[name].js", chunkFileNames: "cli/[name]-[hash].js" },
  );
  await writeChunks(directory, chunks);
  await chmod(join(directory, "cli/token-rotator.js"), 0o755);
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) {
    throw new Error("The declarations of the library could not be made.");
  }
}

async function bundle(from: InputOptions, to: OutputOptions): Promise<OutputChunk[]> {
  await using build = await rolldown(from);
  const { output } = await build.generate(to);
  return output.filter((file) => file.type === "chunk");
}

async function writeChunks(directory: string, chunks: readonly OutputChunk[]): Promise<void> {
  for (const { fileName, code, map, sourcemapFileName } of chunks) {
    const target = join(directory, fileName);
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, code);
    if (map !== null && sourcemapFileName !== null) {
      await writeFile(join(directory, sourcemapFileName), map.toString());
    }
  }
}

if (import.meta.main) {
  await buildFunctions();
  if (process.argv[2] !== "functions") {
    await buildPackage();
  }
}
