import assert from "node:assert/strict";
import { test } from "node:test";
import { retryAfterMs } from "../src/retryAfter.ts";

const date = "Wed, 21 Oct 2026 07:28:00 GMT";
for (const { retryAfter, now, ms } of [
  { retryAfter: "0", now: undefined, ms: 0 },
  { retryAfter: "17", now: undefined, ms: 17_000 },
  { retryAfter: " 17 ", now: undefined, ms: 17_000 },
  { retryAfter: "Wed, 21 Oct 2026 07:28:30 GMT", now: date, ms: 30_000 },
  { retryAfter: "Wed, 21 Oct 2026 07:27:30 GMT", now: date, ms: 0 },
  { retryAfter: "Wed, 21 Oct 2026 07:28:30 GMT", now: undefined, ms: undefined },
  { retryAfter: undefined, now: date, ms: undefined },
  { retryAfter: "", now: date, ms: undefined },
  { retryAfter: "-1", now: date, ms: undefined },
  { retryAfter: "1.5", now: date, ms: undefined },
  { retryAfter: "1 apple", now: date, ms: undefined },
  { retryAfter: "9999999999", now: date, ms: undefined },
]) {
  test(`Retry-After ${retryAfter}, Date ${now}`, () => {
    const headers = new Headers();
    if (retryAfter !== undefined) {
      headers.set("retry-after", retryAfter);
    }
    if (now !== undefined) {
      headers.set("date", now);
    }
    assert.equal(retryAfterMs(headers), ms);
  });
}
