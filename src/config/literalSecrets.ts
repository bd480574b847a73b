/*
 * Secrets belong into a vault. What looks like one in the configuration is refused, because the file lies in a repository
 * and in the deployed package. The patterns are linear and bounded: they meet every string of the file.
 */

const known: readonly (readonly [RegExp, string])[] = [
  [/eyJ[\w-]{8,1024}\.[\w-]*\./, "a JSON Web Token"],
  [/^eyJ[\w+/=-]{40}/, "base64 of a token set"],
  [/-----BEGIN [A-Z ]{0,40}PRIVATE KEY(?: BLOCK)?-----/, "a private key"],
  [/\b(?:dapi|dose)[0-9a-f]{32}/, "a Databricks token or secret"],
  [/\b(?:AccountKey|SharedAccessKey)=[\w+/=]{20}/i, "a connection string with its key"],
  // Where a template has a placeholder, or a shell its variable, there is no password yet.
  [/(?:password|passwd|pwd)=['"]?[^\s'"{}<$%;,][^\s'"{}<;,]{2}/i, "a connection string with a password"],
  [/[?&]sig=[\w%+/=-]{20}/, "a shared access signature"],
  [/[\w.~-]{3}8Q~[\w.~-]{31}/, "an Entra client secret"],
  [/(?:^|[^\w.-])(?:M\.[CR]\d{1,6}_|[01]\.A[A-Za-z])[\w!*$.-]{60}/, "a Microsoft refresh token"],
  [/\bidcscs-[0-9a-f]{8}-/, "a client secret of an OCI identity domain"],
  [/\b(?:gh[opsu]_\w{36}|github_pat_\w{22})/, "a GitHub token"],
  [/\b(?:Bearer|Basic) [\w+/=.~-]{20}/i, "an Authorization header"],
  // A template has a placeholder where a literal would have its password.
  [/:\/\/[^\s/:@]{0,256}:[^\s/@{}]{1,256}@/, "a URL with a password"],
];

/** What the text looks like, or `undefined`. `field` is the name of the field that it stands in. */
export function looksLikeSecret(text: string, field: string): string | undefined {
  const match = known.find(([pattern]) => pattern.test(text));
  if (match !== undefined) {
    return match[1];
  }
  return /(?:secret|token|password|passwd|key)$/i.test(field) && looksRandom(text, field)
    ? "a password or a key"
    : undefined;
}

/**
 * Names are made of words, random text is not: in it, upper case, lower case and digits follow one another without order.
 * A secret's name stands in a field `secret`, where 32 hexadecimal digits may well be a name.
 */
function looksRandom(text: string, field: string): boolean {
  if (/\s|:\/\//.test(text)) {
    return false;
  }
  if (field !== "secret" && /^[0-9a-f]{32,}$/i.test(text) && /[a-f]/i.test(text) && /\d/.test(text)) {
    return true;
  }
  return text.split("-").some((word) => {
    const classes: string[] = [...word].map((character) =>
      /\d/.test(character) ? "0" : /[a-z]/.test(character) ? "a" : /[A-Z]/.test(character) ? "A" : "+",
    );
    const changes = classes.filter((one, index) => index > 0 && one !== classes[index - 1]).length;
    return (
      word.length >= 20 &&
      changes >= word.length * 0.45 &&
      ["a", "A"].every((one) => classes.includes(one)) &&
      classes.filter((one) => one === "0").length >= 3
    );
  });
}

/** Calls `found` for every string and key of the value that looks like a secret. */
export function findLiteralSecrets(
  value: unknown,
  found: (path: readonly (string | number)[], what: string) => void,
  /** Of `value`. One for the whole walk: a copy for every value would be most of what reading a long file takes. */
  path: (string | number)[] = [],
): void {
  if (typeof value === "string") {
    const field = path.findLast((segment) => typeof segment === "string") ?? "";
    const what = looksLikeSecret(value, String(field));
    if (what !== undefined) {
      found([...path], what);
    }
    return;
  }
  if (typeof value !== "object" || value === null) {
    return;
  }
  for (const key of Object.keys(value)) {
    path.push(Array.isArray(value) ? Number(key) : key);
    const what = Array.isArray(value) ? undefined : looksLikeSecret(key, "");
    if (what !== undefined) {
      found([...path], what);
    }
    findLiteralSecrets((value as Record<string, unknown>)[key], found, path);
    path.pop();
  }
}
