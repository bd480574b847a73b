import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import * as z from "zod";
import { RotatorError } from "../../src/errors.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { http } from "../../src/probes/http.ts";
import { probes } from "../../src/probes/registry.ts";
import { aToken } from "../builders.ts";
import { VirtualClock } from "../virtualClock.ts";

const canary = "canary-2b8f";
const url = "https://api.example.org/me";

type Wrap = (transport: typeof globalThis.fetch) => typeof globalThis.fetch;

/** How the probe ends, with the product's own `fetch` over an answer, a failure or a transport. */
async function probe(
  given: Readonly<Record<string, unknown>>,
  answer: Response | Error | typeof globalThis.fetch,
  { signal = new AbortController().signal, wrap = safeFetch }: { signal?: AbortSignal; wrap?: Wrap } = {},
): Promise<{ code: string; error?: RotatorError }> {
  const transport: typeof globalThis.fetch =
    typeof answer === "function"
      ? answer
      : async () => {
          if (answer instanceof Error) {
            throw answer;
          }
          return answer;
        };
  const options = http.schema(z).parse({ kind: "http", url, ...given });
  const made = await http.create(options, { clock: new VirtualClock(), fetch: wrap(transport) });
  try {
    await made.probe(aToken({ text: canary }), { signal, giveUpAt: Number.POSITIVE_INFINITY });
    return { code: "works" };
  } catch (error) {
    assert.ok(error instanceof RotatorError);
    assert.ok(!inspect(error, { depth: 9, showHidden: true }).includes(canary));
    return { code: error.code, error };
  }
}

test("the token goes into the header that was asked for", async () => {
  const seen: [string, string | undefined, Record<string, string>][] = [];
  const record: typeof globalThis.fetch = async (input, init) => {
    seen.push([String(input), init?.method, Object.fromEntries(new Headers(init?.headers))]);
    return new Response(null, { status: 200 });
  };
  assert.equal((await probe({}, record)).code, "works");
  assert.equal((await probe({ header: "X-Token", scheme: "" }, record)).code, "works");
  assert.deepEqual(seen, [
    [url, undefined, { authorization: `Bearer ${canary}` }],
    [url, undefined, { "x-token": canary }],
  ]);
});

for (const [status, code] of [
  [200, "works"],
  [201, "ProbeFailed"],
  [400, "ProbeFailed"],
  [404, "ProbeFailed"],
  [401, "ProbeRefused"],
  [403, "ProbeRefused"],
  [429, "ProbeUnreachable"],
  [500, "ProbeUnreachable"],
  [503, "ProbeUnreachable"],
  [302, "ProbeFailed"],
] as const) {
  test(`status ${status}: ${code}`, async () => {
    const answer = new Response(`you sent ${canary}`, {
      status,
      headers: { location: "https://evil.example.org" },
    });
    const { code: actual, error } = await probe({}, answer);
    assert.equal(actual, code);
    assert.equal(error?.retryable ?? false, code === "ProbeUnreachable");
    if (error !== undefined && status !== 302) {
      assert.deepEqual(error.facts, { host: "api.example.org", httpStatus: status });
    }
  });
}

test("a status that was asked for works, whatever it means elsewhere", async () => {
  assert.equal((await probe({ status: [204, 404] }, new Response(null, { status: 404 }))).code, "works");
  assert.equal(
    (await probe({ status: [204, 404] }, new Response(null, { status: 200 }))).code,
    "ProbeFailed",
  );
});

test("what keeps a connection from being made, with the product's fetch and with a bare one", async () => {
  const failed = (code: string) =>
    Object.assign(new TypeError("fetch failed"), { cause: Object.assign(new Error(canary), { code }) });
  const bare: Wrap = (transport) => transport;
  for (const wrap of [safeFetch, bare]) {
    assert.equal((await probe({}, failed("ECONNREFUSED"), { wrap })).code, "ProbeUnreachable");
    assert.equal((await probe({}, failed("SELF_SIGNED_CERT_IN_CHAIN"), { wrap })).code, "ProbeUntrusted");
    assert.equal((await probe({}, failed("ERR_TLS_CERT_ALTNAME_INVALID"), { wrap })).code, "ProbeUntrusted");
  }
});

test("the signal ends a call that hangs", async () => {
  const stop = new AbortController();
  const hang: typeof globalThis.fetch = (_, init) =>
    new Promise((_resolve, reject) => {
      init?.signal?.addEventListener("abort", () => reject(init.signal?.reason));
      stop.abort(new Error("time is up"));
    });
  const { code, error } = await probe({}, hang, { signal: stop.signal });
  assert.equal(code, "ProbeTimeout");
  assert.equal(error?.retryable, true);
});

test("the token goes nowhere without TLS but to this machine", () => {
  const accepted = (url: string) => http.schema(z).safeParse({ kind: "http", url }).success;
  assert.ok(accepted("http://127.0.0.1:8080/health"));
  assert.ok(!accepted("http://api.example.org/"));
  assert.ok(!accepted("https://user:pass@api.example.org/"));
  assert.ok(!http.schema(z).safeParse({ kind: "http", url, header: "X-A\r\nX-B" }).success);
});

test("every probe is registered under its own kind", () => {
  for (const [kind, { schema }] of Object.entries(probes)) {
    const refused = schema(z).safeParse({ kind: `${kind}-x` });
    assert.ok(refused.error?.issues.some(({ path }) => path[0] === "kind"));
    assert.ok(
      !schema(z)
        .safeParse({ kind })
        .error?.issues.some(({ path }) => path[0] === "kind"),
    );
  }
});
