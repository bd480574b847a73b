import { SecretValue } from "../secretValue.ts";
import { misuse, signInProblems } from "./problems.ts";

/**
 * The refresh token in what another program has kept: the token itself, JSON with a `refresh_token` (an OAuth token answer,
 * a OneMount `auth_tokens.json`), or base64 of such JSON.
 *
 * @throws RotatorError `TokenSetUnreadable` where it is empty, `TokenSetWithoutRefreshToken`
 */
export function refreshTokenIn(tokenSet: SecretValue): SecretValue {
  const text = tokenSet
    .reveal()
    .replace(/^\uFEFF/, "")
    .trim();
  if (text === "") {
    throw misuse(signInProblems.TokenSetUnreadable);
  }
  const json = jsonObject(text) ?? jsonObject(Buffer.from(text, "base64").toString("utf8"));
  const found = json === undefined ? text : (json.refresh_token ?? json.refreshToken);
  // VSCHAR of RFC 6749, appendix A.17, without the space.
  if (typeof found !== "string" || !/^[\x21-\x7e]+$/.test(found)) {
    throw misuse(signInProblems.TokenSetWithoutRefreshToken);
  }
  return new SecretValue(found);
}

function jsonObject(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? { ...value } : undefined;
  } catch {
    return undefined;
  }
}
