/** Headers as `fetch` and as the Azure clients have them. */
export interface HeaderSource {
  get(name: string): string | null | undefined;
}

/**
 * How long `Retry-After` asks to wait, in milliseconds: seconds or a date (RFC 9110, section 10.2.3). A date is compared
 * with the answer's own `Date`, so that it does not matter whose clock is wrong.
 */
export function retryAfterMs(headers: HeaderSource): number | undefined {
  const text = headers.get("retry-after")?.trim() ?? "";
  if (/^\d{1,9}$/.test(text)) {
    return Number(text) * 1000;
  }
  const ms = httpDate(text) - httpDate(headers.get("date") ?? "");
  return Number.isNaN(ms) ? undefined : Math.max(0, ms);
}

/** An HTTP date ends in GMT; `Date.parse` alone makes a date of nearly anything. */
function httpDate(text: string): number {
  return text.endsWith(" GMT") ? Date.parse(text) : Number.NaN;
}
