import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { describe, test } from "node:test";
import type { Cookie, HttpResponseInit } from "@azure/functions";
import { RotatorError } from "../../src/errors.ts";
import type { Access } from "../../src/http/access.ts";
import type { Answer } from "../../src/http/endpoint.ts";
import { endpoint } from "../../src/http/endpoint.ts";
import { fromNow } from "../../src/http/page/times.ts";
import { ui, uiPage } from "../../src/http/ui.ts";
import { anOutput, aSource, epoch, hours, minutes } from "../builders.ts";
import { aConsumer, aRequest, type RequestParts, Scene } from "./scene.ts";
import { showcase } from "./showcase.ts";

interface Page {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, string>>;
  readonly html: string;
  readonly cookie: Cookie | undefined;
}

async function open(scene: Scene, parts: RequestParts = {}, answer: Answer = uiPage, access: Access = "key") {
  const environment = { WEBSITE_AUTH_ENABLED: "True" };
  const handler = endpoint(async () => answer, { runner: scene.runner, access, environment });
  const { status, headers, body, cookies } = (await handler(
    aRequest(parts),
    scene.context,
  )) as HttpResponseInit;
  return { status, headers, html: String(body), cookie: cookies?.[0] } as Page;
}

/** Sends the form of a page as a browser does that has its cookie. */
function submit(scene: Scene, { cookie }: Page, form: Record<string, string>, headers = {}) {
  const sent = cookie === undefined ? {} : { cookie: `other=1; ${cookie.name}=${cookie.value}` };
  const body = new URLSearchParams({ token: cookie?.value ?? "", ...form }).toString();
  return open(scene, {
    method: "POST",
    headers: { "sec-fetch-site": "same-origin", ...sent, ...headers },
    body,
  });
}

const namesIn = (html: string) => [...html.matchAll(/<h3>([^<]*)<\/h3>/g)].map(([, name]) => name);
const rowOf = (html: string, name: string) =>
  new RegExp(`<li class="row [^>]*>\\s*<div class="who"><h3>${name}</h3>.*?\n</li>`, "s").exec(html)?.[0] ??
  assert.fail(`no row of ${name}`);
const textOf = (html: string) =>
  html
    .replace(/<[^>]+>/g, " ")
    .replace(/\s+/g, " ")
    .trim();

describe("the status page", () => {
  test("has the most urgent first, under what they have in common", async () => {
    const { status, html } = await open(showcase());
    assert.equal(status, 200);
    assert.deepEqual(namesIn(html), [
      "partner-api",
      "new-workload",
      "oracle-adb",
      "billing-db",
      "lakebase",
      "oci-cli",
      "databricks-jobs",
      "postgres-mcp",
      "reports-db",
      "storage-sas",
      "onedrive",
    ]);
    const sections = [...html.matchAll(/<h2>(.*?)<\/h2>/g)].map(([, title]) => textOf(title ?? ""));
    assert.deepEqual(sections, ["Needs attention 4", "Due 1", "Fresh 5", "Paused 1"]);
    assert.match(html, /<title>4 of 11 rotations need attention – Token rotations<\/title>/);
    assert.match(textOf(html), /kv-example\.vault\.azure\.net, as of 12:08 UTC/);
  });

  test("says of a rotation what it is, its times, and what comes next and why", async () => {
    const { html } = await open(showcase());
    assert.equal(
      textOf(rowOf(html, "lakebase")),
      "lakebase due lakebase-pgpass expires in 22m Issued 11:24 Renewal 12:06 Expiry 12:30 " +
        "The next tick mints a new token Its renewal time has come. NearingExpiry " +
        "Rotate now… Rotate lakebase now? A new token is minted and written to the vault. Rotate now Cancel",
    );
    assert.match(
      textOf(rowOf(html, "billing-db")),
      /fresh consumer failed .* billing-api failed The rotator may not/,
    );
    assert.match(
      textOf(rowOf(html, "reports-db")),
      /Renewal in .* reports restarting .* consumers are updated/,
    );
    // Outputs that are equal in all but their names share one line.
    const oci = rowOf(html, "oci-cli");
    assert.match(textOf(oci), /oci-session-token oci-session-key expires in 35m/);
    assert.equal([...oci.matchAll(/<svg/g)].length, 1);
  });

  test("offers to rotate only what could be rotated", async () => {
    const scene = showcase();
    scene.add("broken", { faults: ["its source has no scope"] });
    const foreign = scene.add("foreign");
    scene.seed({ ...foreign, name: "somebody-else" }, 0);
    const { html } = await open(scene);
    const offered = [...html.matchAll(/name="rotation" value="([^"]*)"/g)].map(([, name]) => name);
    assert.deepEqual(
      namesIn(html).filter((name) => !offered.includes(name ?? "")),
      ["broken", "foreign", "onedrive"],
    );
    assert.match(rowOf(html, "onedrive"), /<code>token-rotator resume onedrive<\/code>/);
    assert.match(textOf(rowOf(html, "foreign")), /blocked .* belongs to somebody else/);
    assert.match(textOf(rowOf(html, "broken")), /ConfigurationInvalid/);
  });

  test("draws a life with its renewal, the danger at its end and now, also once it is over", async () => {
    const scene = new Scene();
    scene.seed(scene.add("half", { timing: { floorMs: 15 * minutes } }), 30 * minutes);
    scene.seed(scene.add("over"), 90 * minutes);
    const { html } = await open(scene);
    const drawn = (name: string) =>
      [
        ...rowOf(html, name).matchAll(
          /class="(danger|spent|now)" (?:x|y|cx)="([\d.]+)%?"(?: y="6")? (?:width="([\d.]+)%)?/g,
        ),
      ].map(([, what, at, width]) => `${what} ${at} ${width ?? ""}`.trim());
    assert.deepEqual(drawn("half"), ["danger 75 25.0", "spent 6 50", "now 50"]);
    assert.deepEqual(drawn("over"), ["danger 42.2 57.8", "spent 6 100", "now 100"]);
    const marks = [...rowOf(html, "half").matchAll(/class="renewal" x="([\d.]+)%"/g)].map(([, at]) =>
      Number(at),
    );
    assert.ok(marks.length === 1 && (marks[0] ?? 0) > 61 && (marks[0] ?? 0) < 67, String(marks));
  });

  test("takes nothing for HTML that is not its own", async () => {
    const scene = new Scene();
    const evil = `<img src=x onerror=alert(1)>'"&`;
    const error = new RotatorError({ code: "Evil", message: evil, remedy: evil, retryable: false });
    scene.add(evil, {
      outputs: [anOutput({ secret: evil, vault: evil })],
      consumers: aConsumer(evil, evil, "failed", error),
    });
    const { html } = await open(scene);
    assert.ok(!html.includes("<img"));
    assert.match(html, /<h3>&lt;img src=x onerror=alert\(1\)&gt;&#39;&quot;&amp;<\/h3>/);
  });

  test("loads nothing, and its policy allows its own script and styles and no others", async () => {
    const { headers, html } = await open(showcase());
    const hash = (text: string | undefined) =>
      `'sha256-${createHash("sha256")
        .update(text ?? "")
        .digest("base64")}'`;
    const script = hash(/<script>(.*?)<\/script>/s.exec(html)?.[1]);
    const style = hash(/<style>(.*?)<\/style>/s.exec(html)?.[1]);
    assert.equal(
      headers["content-security-policy"],
      `default-src 'none'; script-src ${script}; style-src ${style}; img-src data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'`,
    );
    assert.equal(headers["cache-control"], "no-store");
    assert.equal(headers["x-content-type-options"], "nosniff");
    // With `no-referrer` a browser would send its own forms with the origin `null`.
    assert.equal(headers["referrer-policy"], "same-origin");
    const markup = html.replace(/<(script|style)>.*?<\/\1>/gs, "");
    assert.doesNotMatch(markup, / style=| on\w+=|https?:|<link(?! rel="icon" href="data:)/);
  });

  test("stops at 500 rotations, the most urgent ones, and says so", async () => {
    const scene = new Scene();
    for (let index = 0; index < 502; index += 1) {
      scene.seed(scene.add(`app-${index}`), (index % 30) * minutes);
    }
    scene.add("missing");
    const { html } = await open(scene);
    assert.equal(namesIn(html).length, 500);
    assert.equal(namesIn(html)[0], "missing");
    assert.match(html, /3 more are not shown/);
  });

  test("shows what is wrong in place of the rotations, without the facts, and comes back by itself", async () => {
    const scene = showcase();
    scene.loadError = new RotatorError(
      {
        code: "ConfigurationUnreadable",
        message: "It cannot be read.",
        remedy: "Mend it.",
        retryable: false,
      },
      { facts: { file: "/canary-7f3a" } },
    );
    const { status, html } = await open(scene);
    assert.equal(status, 500);
    assert.match(html, /<main class="narrow" data-refresh="60">/);
    assert.match(textOf(html), /It cannot be read\. Mend it\. ConfigurationUnreadable/);
    assert.doesNotMatch(html, /canary-7f3a/);
    assert.match(scene.logged.join(), /canary-7f3a/);
  });
});

describe("rotate now", () => {
  test("mints although nothing is due, and the page says what became of it", async () => {
    const scene = new Scene();
    scene.seed(scene.add("app"), 5 * minutes);
    const page = await open(scene);
    const after = await submit(scene, page, { rotation: "app" });
    assert.equal(after.status, 200);
    assert.match(
      after.html,
      /id="outcome"[^>]*><p><strong>app<\/strong> Rotated\. A new token is in the vault\./,
    );
    assert.match(
      textOf(rowOf(after.html, "app")),
      /Issued 00:00 .* Last outcome in this process: Rotated , now/,
    );
    assert.equal(scene.engine.store.versions("app-token").length, 2);
  });

  test("says what failed, its cure, and none of the facts", async () => {
    const scene = new Scene();
    const refused = new RotatorError(
      { code: "SignInRequired", message: "It is no longer accepted.", remedy: "Sign in.", retryable: false },
      { facts: { actual: "canary-7f3a" } },
    );
    scene.add("app", {
      sources: [
        aSource(async () => {
          throw refused;
        }),
      ],
    });
    const { html } = await submit(scene, await open(scene), { rotation: "app" });
    assert.match(textOf(html), /app SignInRequired\. .* It is no longer accepted\. Sign in\. SignInRequired/);
    assert.doesNotMatch(html, /canary-7f3a/);
  });

  test("is refused to whoever is not this page in this browser", async () => {
    const scene = new Scene();
    scene.add("app");
    const page = await open(scene);
    const form = { rotation: "app" };
    const other = "0".repeat(32);
    for (const [what, attempt] of [
      [
        "without the cookie",
        submit(scene, { ...page, cookie: undefined }, { ...form, token: page.cookie?.value ?? "" }),
      ],
      ["without the token", submit(scene, page, { ...form, token: "" })],
      ["with another token", submit(scene, page, { ...form, token: other })],
      [
        "with an empty cookie and an empty token",
        submit(scene, { ...page, cookie: { ...(page.cookie as Cookie), value: "" } }, { ...form, token: "" }),
      ],
      ["from another site", submit(scene, page, form, { "sec-fetch-site": "cross-site" })],
      ["from a sibling of this site", submit(scene, page, form, { "sec-fetch-site": "same-site" })],
    ] as const) {
      assert.equal((await attempt).status, 403, what);
    }
    assert.equal((await submit(scene, page, { rotation: "../app" })).status, 400);
    assert.equal((await submit(scene, page, { rotation: "app", more: "x".repeat(1_024) })).status, 413);
    assert.deepEqual(scene.engine.store.versions("app-token"), []);
    assert.equal((await submit(scene, page, { rotation: "nobody" })).status, 404);
  });

  test("shows the rotations also while a tick is under way", async () => {
    const scene = new Scene();
    const gate = Promise.withResolvers<void>();
    const asked = Promise.withResolvers<void>();
    scene.add("app", {
      sources: [
        aSource(async () => {
          asked.resolve();
          await gate.promise;
          throw new TypeError("no");
        }),
      ],
    });
    const page = await open(scene);
    const tick = scene.runner.tickNow({}, { invocationId: "tick", log: () => {} });
    await asked.promise;
    const { status, html } = await submit(scene, page, { rotation: "app" });
    assert.equal(status, 409);
    assert.match(html, /A tick is under way/);
    assert.deepEqual(namesIn(html), ["app"]);
    gate.resolve();
    await tick;
  });

  test("its cookie is for this host alone, for no script and for no other site", async () => {
    const scene = new Scene();
    scene.add("app");
    const page = await open(scene);
    const { value, ...attributes } = page.cookie as Cookie;
    assert.match(value, /^[0-9a-f]{32}$/);
    assert.deepEqual(attributes, {
      name: "__Host-rotator-form",
      path: "/",
      httpOnly: true,
      sameSite: "Strict",
      secure: true,
    });
    const again = await open(scene, { headers: { cookie: `${attributes.name}=${value}` } });
    assert.equal(again.cookie?.value, value);
    const laptop = await open(scene, { url: "http://127.0.0.1:7071/api/ui/page" });
    assert.deepEqual([laptop.cookie?.name, laptop.cookie?.secure], ["rotator-form", false]);
    const invalid = await open(scene, { headers: { cookie: `${attributes.name}="><script>` } });
    assert.match(invalid.cookie?.value ?? "", /^[0-9a-f]{32}$/);
  });
});

describe("the way in", () => {
  test("with keys: a form that says nothing of the installation and reads nothing of it", async () => {
    const scene = showcase();
    scene.loadError = new TypeError("must not be loaded");
    for (const method of ["GET", "POST"]) {
      const { status, html, cookie } = await open(scene, { method }, ui);
      assert.equal(status, 200);
      assert.match(html, /<label for="key">/);
      assert.doesNotMatch(html, /kv-example|postgres-mcp/);
      assert.equal(cookie, undefined);
    }
  });

  test("with Entra: the page itself for whoever has signed in, and for nobody else", async () => {
    const headers = { "x-ms-client-principal-id": "me" };
    const page = await open(showcase(), { headers }, ui, "entra");
    assert.equal(namesIn(page.html).length, 11);
    const stranger = await open(showcase(), {}, ui, "entra");
    assert.equal(stranger.status, 401);
    assert.equal(JSON.parse(stranger.html).code, "SignInNeeded");
  });
});

test("durations are as exact as somebody wants to know them", () => {
  const day = 24 * hours;
  for (const [ms, text] of [
    [0, "now"],
    [999, "now"],
    [-999, "now"],
    [1_000, "in 1s"],
    [59_999, "in 59s"],
    [60_000, "in 1m"],
    [9 * minutes + 59_000, "in 9m 59s"],
    [10 * minutes + 59_000, "in 10m"],
    [hours, "in 1h"],
    [hours + 90_000, "in 1h 1m"],
    [day - 1, "in 23h 59m"],
    [day, "in 1d"],
    [3 * day + 4 * hours, "in 3d 4h"],
    [-1_000, "1s ago"],
    [-hours, "1h ago"],
  ] as const) {
    assert.equal(fromNow(epoch + ms, epoch), text);
  }
});
