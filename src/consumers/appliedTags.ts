/*
 * What the rotator notes at a consumer, so that the next decision can be derived by whichever process makes it. One tag per
 * fed secret, and one more for an app whose restart takes long:
 *
 *   token-rotator.database-uri   2026-11-20T10:00:03Z 5f0c…
 *   token-rotator-restart        2026-11-20T10:00:07Z 1 x7k2m9d
 *
 * One tag per secret, and not one for all, because Azure allows 256 characters in a value, because an operator can read
 * them, and because two configurations may then feed one app without overwriting each other's notes. A redeployment that
 * puts the app's template back drops the tags together with the secrets: all of it is then applied anew.
 */

/** Which version of an output a secret of the consumer was given, and when. */
export interface Applied {
  /** The operation of the version; for a Key Vault reference followed by a word that says so. */
  readonly version: string;
  /** Milliseconds since the epoch, whole seconds, by the server's clock. No later than the update took effect. */
  readonly at: number;
}

/** A restart that was asked for and that the platform had not finished when the run ended. */
export interface AskedRestart {
  readonly at: number;
  /** 1, or 2 where it was asked once more. */
  readonly attempt: number;
  /** Names of revisions. */
  readonly revisions: readonly string[] | "all";
}

export type Tags = Readonly<Record<string, string>>;

const restartTag = "token-rotator-restart";
const longestValue = 256;

export function appliedIn(tags: Tags, secret: string): Applied | undefined {
  const [at, version] = split(find(tags, appliedTag(secret)));
  return at === undefined || version === undefined ? undefined : { at, version };
}

export function withApplied(tags: Tags, secret: string, { at, version }: Applied): Tags {
  return withTag(tags, appliedTag(secret), `${isoSeconds(at)} ${version}`);
}

export function restartIn(tags: Tags, app: string): AskedRestart | undefined {
  const [at, rest] = split(find(tags, restartTag));
  const [, attempt, names] = /^([12]) (\S+)$/.exec(rest ?? "") ?? [];
  if (at === undefined || attempt === undefined || names === undefined) {
    return undefined;
  }
  const revisions =
    names === "*" ? "all" : names.split(",").map((suffix) => `${app.toLowerCase()}--${suffix}`);
  return { at, attempt: Number(attempt), revisions };
}

export function withRestart(tags: Tags, { at, attempt, revisions }: AskedRestart): Tags {
  const head = `${isoSeconds(at)} ${attempt} `;
  // A revision is named after its app: `app--suffix`.
  const names =
    revisions === "all" ? "*" : revisions.map((name) => name.slice(name.indexOf("--") + 2)).join(",");
  return withTag(tags, restartTag, head + (head.length + names.length > longestValue ? "*" : names));
}

function appliedTag(secret: string): string {
  return `token-rotator.${secret}`;
}

/** Tag names are compared without case, and a resource may answer them in another one. */
function find(tags: Tags, name: string): string | undefined {
  return tags[name] ?? Object.entries(tags).find(([key]) => key.toLowerCase() === name)?.[1];
}

function withTag(tags: Tags, name: string, value: string): Tags {
  const others = Object.entries(tags).filter(([key]) => key.toLowerCase() !== name);
  return { ...Object.fromEntries(others), [name]: value };
}

/** `undefined` where the value does not begin with a time: somebody has edited the tag. */
function split(value: string | undefined): [at: number | undefined, rest: string | undefined] {
  const [, time, rest] = /^(\S+) (.+)$/.exec(value ?? "") ?? [];
  const at = Date.parse(time ?? "");
  return Number.isNaN(at) ? [undefined, undefined] : [at, rest];
}

function isoSeconds(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
