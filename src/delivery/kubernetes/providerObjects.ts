import { parse, stringify } from "yaml";
import { problems, RotatorError } from "../../errors.ts";

/*
 * The parameter `objects` of a SecretProviderClass of the Azure provider: YAML that is a list of texts, each of which is
 * YAML again.
 * https://github.com/Azure/secrets-store-csi-driver-provider-azure/blob/master/pkg/provider/types/types.go
 */

export const providerProblems = problems({
  ProviderObjectsMalformed: {
    message: "The objects of the SecretProviderClass are not what the provider reads.",
    remedy: "Write it with `token-rotator manifests`; see the position in the facts.",
    retryable: false,
  },
  ProviderFileNameRefused: {
    message: "The provider refuses this file name: it must be relative and without `..`.",
    remedy: "Give the object an alias that is a plain file name.",
    retryable: false,
  },
  ProviderPermissionRefused: {
    message: "The provider refuses this file permission: it must be an octal number.",
    remedy: "Write four octal digits, such as 0600.",
    retryable: false,
  },
});

/** A secret of the vault as a file of the mount. */
export interface ProviderObject {
  readonly objectName: string;
  /** Name of the file; the object's name where absent. */
  readonly objectAlias?: string | undefined;
  /** Octal; the driver's 0644 where absent. */
  readonly filePermission?: string | undefined;
}

/** What the driver gives a file for which nothing else is said. */
const defaultMode = 0o644;

/** As the text of the parameter. */
export function objectsParameter(objects: readonly ProviderObject[]): string {
  const array = objects.map(({ objectName, objectAlias, filePermission }) =>
    yamlText({
      objectName,
      ...(objectAlias === undefined ? {} : { objectAlias }),
      objectType: "secret",
      ...(filePermission === undefined ? {} : { filePermission }),
    }),
  );
  return yamlText({ array });
}

/** YAML that reads the same in YAML 1.1, which Kubernetes and the provider take, and in 1.2: what is a text there is quoted. */
export function yamlText(value: unknown): string {
  return stringify(value, { version: "1.1", lineWidth: 0, aliasDuplicateObjects: false });
}

/** One file of the mount, as the provider understands it. */
export interface MountedObject {
  readonly secret: string;
  /** A particular version; the newest where absent. */
  readonly version?: string;
  readonly path: string;
  readonly mode: number;
}

/**
 * Reads the parameter as the provider does, as far as `manifests` uses it. The provider refuses a class with one wrong
 * object as a whole.
 * @throws RotatorError `ProviderObjectsMalformed`, `ProviderFileNameRefused`, `ProviderPermissionRefused`
 */
export function parseObjects(parameter: string): MountedObject[] {
  const { array } = asObject(readYaml(parameter, "objects"), "objects");
  if (!Array.isArray(array) || array.length === 0) {
    throw malformed("objects");
  }
  return array.map((text: unknown, index) => {
    const at = `objects[${index}]`;
    if (typeof text !== "string") {
      throw malformed(at);
    }
    const object = asObject(readYaml(text, at), at);
    const field = (name: string) => String(object[name] ?? "").trim();
    const [secret, version, type] = [field("objectName"), field("objectVersion"), field("objectType")];
    if (secret === "" || type !== "secret" || otherFields.some((name) => field(name) !== "")) {
      throw malformed(at);
    }
    return {
      secret,
      ...(version === "" ? {} : { version }),
      path: checkedPath(field("objectAlias") || secret, at),
      mode: modeOf(field("filePermission"), at),
    };
  });
}

/** The provider has more, which nothing here writes or mounts. */
const otherFields = ["objectVersionHistory", "objectFormat", "objectEncoding"];

function readYaml(text: string, at: string): unknown {
  try {
    // Every scalar as it is written: the provider's fields are texts, and 0600 must not become 384.
    return parse(text, { version: "1.1", schema: "failsafe" });
  } catch (cause) {
    throw new RotatorError(providerProblems.ProviderObjectsMalformed, { cause, facts: { at } });
  }
}

function asObject(value: unknown, at: string): Record<string, unknown> {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw malformed(at);
  }
  return value as Record<string, unknown>;
}

function malformed(at: string): RotatorError {
  return new RotatorError(providerProblems.ProviderObjectsMalformed, { facts: { at } });
}

function checkedPath(path: string, at: string): string {
  if (path.startsWith("/") || path.includes("..") || /[\p{Cc}\\]/u.test(path)) {
    throw new RotatorError(providerProblems.ProviderFileNameRefused, { facts: { at } });
  }
  return path;
}

function modeOf(permission: string, at: string): number {
  if (permission === "") {
    return defaultMode;
  }
  if (!/^[0-7]{1,4}$/.test(permission)) {
    throw new RotatorError(providerProblems.ProviderPermissionRefused, { facts: { at } });
  }
  return Number.parseInt(permission, 8);
}
