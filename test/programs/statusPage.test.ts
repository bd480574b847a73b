import assert from "node:assert/strict";
import { mkdir } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";
import { after, afterEach, before, beforeEach, describe, test } from "node:test";
import {
  type Browser,
  type BrowserContext,
  type BrowserContextOptions,
  chromium,
  type Page,
} from "playwright-core";
import { minutes } from "../builders.ts";
import { type Hosted, startHosted } from "../http/hosted.ts";
import type { Scene } from "../http/scene.ts";
import { servePage } from "../http/serve.ts";
import { showcase } from "../http/showcase.ts";

/*
 * The status page in a real Chromium (`CHROMIUM`, by default /usr/bin/chromium); without one these tests fail. Screenshots go
 * to `build/status-page`.
 */

const screenshots = join(import.meta.dirname, "../../build/status-page");
let browser: Browser;

before(async () => {
  await mkdir(screenshots, { recursive: true });
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--headless",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-quic",
      "--no-first-run",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
    ],
  });
});
after(() => browser?.close());

let context: BrowserContext | undefined;
/** What the browser complained of: errors, violations of the policy, requests that failed. */
let complaints: string[];
/** Every address that was asked for. */
let requested: string[];

async function open(url: string, options: BrowserContextOptions = {}): Promise<Page> {
  await context?.close();
  context = await browser.newContext({ viewport: { width: 1180, height: 900 }, ...options });
  const page = await context.newPage();
  page.on("console", (message) => complaints.push(message.text()));
  page.on("pageerror", (error) => complaints.push(String(error)));
  page.on("request", (request) => requested.push(request.url()));
  await page.goto(url);
  return page;
}

async function textOf(page: Page, selector: string): Promise<string> {
  return (await page.locator(selector).textContent())?.replace(/\s+/g, " ").trim() ?? "";
}

beforeEach(() => {
  complaints = [];
  requested = [];
});
afterEach(async () => {
  await context?.close();
  context = undefined;
});

describe("the page", () => {
  let scene: Scene;
  let served: Awaited<ReturnType<typeof servePage>>;
  beforeEach(async () => {
    scene = showcase();
    served = await servePage(scene);
  });
  afterEach(() => served[Symbol.asyncDispose]());

  for (const colorScheme of ["light", "dark"] as const) {
    for (const width of [1180, 800, 375, 320]) {
      test(`is readable in ${colorScheme} colours, ${width} pixels wide`, async () => {
        const page = await open(served.url, { colorScheme, viewport: { width, height: 900 } });
        await page.screenshot({ path: join(screenshots, `${colorScheme}-${width}.png`), fullPage: true });
        assert.equal(await page.evaluate("document.documentElement.scrollWidth"), width);
        assert.deepEqual(await page.evaluate(faintTexts), []);
        assert.deepEqual(await page.evaluate(smallButtons), []);
        assert.deepEqual(complaints, []);
        assert.deepEqual(requested, [served.url]);
      });
    }
  }

  test("its question, its outcome and a problem are readable too", async () => {
    for (const colorScheme of ["light", "dark"] as const) {
      const page = await open(served.url, { colorScheme });
      await page.click("#ask-lakebase");
      await page.screenshot({ path: join(screenshots, `${colorScheme}-question.png`) });
      assert.deepEqual(await page.evaluate(faintTexts), []);
      await page.click("[name=rotation][value=lakebase]");
      await page.waitForSelector("#outcome");
      await page.screenshot({ path: join(screenshots, `${colorScheme}-outcome.png`) });
      assert.deepEqual(await page.evaluate(faintTexts), []);
    }
    scene.loadError = new TypeError("no");
    const page = await open(served.url);
    assert.match(await textOf(page, "#outcome"), /Unexpected/);
    assert.deepEqual(await page.evaluate(faintTexts), []);
  });

  test("is made of headings, lists and buttons that have names", async () => {
    const page = await open(served.url);
    const tree = await page.locator("main").ariaSnapshot();
    for (const line of [
      '- heading "Token rotations" [level=1]',
      '- list "Rotations by freshness":',
      '- heading "Needs attention 4" [level=2]',
      '- heading "partner-api" [level=3]',
      '- button "Rotate partner-api now…"',
      '- list "Consumers":',
    ]) {
      assert.ok(tree.includes(line), `${line} is not in\n${tree}`);
    }
    assert.equal(await page.evaluate("document.documentElement.lang"), "en");
    const ids = (await page.evaluate(
      "[...document.querySelectorAll('[id]')].map(({ id }) => id)",
    )) as string[];
    assert.equal(new Set(ids).size, ids.length);
  });

  test("can be used with the keyboard alone", async () => {
    const page = await open(served.url);
    const focused = () => page.evaluate("document.activeElement.id || document.activeElement.textContent");
    const buttons = await page.evaluate("[...document.querySelectorAll('[id^=ask-]')].map(({ id }) => id)");
    const reached = [];
    for (const _ of buttons as string[]) {
      await page.keyboard.press("Tab");
      reached.push(await focused());
    }
    assert.deepEqual(reached, buttons);
    await page.focus("#ask-lakebase");
    await page.keyboard.press("Shift+Tab");
    await page.keyboard.press("Tab");
    assert.equal(await page.evaluate("getComputedStyle(document.activeElement).outlineWidth"), "3px");

    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Rotate now");
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Cancel");
    await page.keyboard.press("Escape");
    assert.equal(await focused(), "ask-lakebase");
    assert.equal(await page.isVisible("#confirm-lakebase"), false);

    await page.keyboard.press("Enter");
    await page.keyboard.press("Tab");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#outcome");
    assert.equal(await focused(), "outcome");
    assert.match(await textOf(page, "#outcome"), /^lakebase Rotated\./);
    assert.deepEqual(complaints, []);
  });

  test("works without JavaScript", async () => {
    const page = await open(served.url, { javaScriptEnabled: false });
    assert.equal(await page.locator("h3").count(), 11);
    await page.click("#ask-partner-api");
    await page.click("[name=rotation][value=partner-api]");
    assert.match(await textOf(page, "#outcome"), /^partner-api Rotated\. A new token is in the vault\./);
    assert.equal(new URL(page.url()).search, "");
    assert.deepEqual(complaints, []);
  });

  test("keeps itself up to date, and takes no question away", async () => {
    const page = await open("about:blank");
    await page.clock.install();
    await page.goto(served.url);
    const time = () => textOf(page, ".as-of time");
    assert.equal(await time(), "12:08");
    await page.focus("#ask-oci-cli");
    scene.engine.clock.set(scene.engine.clock.now() + 10 * minutes);
    await page.clock.fastForward(60_000);
    await page.locator(".as-of time", { hasText: "12:18" }).waitFor();
    assert.equal(await page.evaluate("document.activeElement.id"), "ask-oci-cli");
    assert.match(await page.title(), /^5 of 11 rotations need attention/);

    await page.click("#ask-oci-cli");
    scene.engine.clock.set(scene.engine.clock.now() + 10 * minutes);
    const before = requested.length;
    await page.clock.fastForward(60_000);
    assert.equal(requested.length, before);
    assert.equal(await page.isVisible("#confirm-oci-cli"), true);
    await page.keyboard.press("Escape");
    await page.clock.fastForward(60_000);
    await page.locator(".as-of time", { hasText: "12:28" }).waitFor();
    assert.deepEqual(complaints, []);
  });

  test("says when it is out of date, and that it tries again", async () => {
    const page = await open("about:blank");
    await page.clock.install();
    await page.goto(served.url);
    await context?.setOffline(true);
    await page.clock.fastForward(60_000);
    await page.waitForSelector("#said:not(:empty)");
    assert.match(await textOf(page, "#said"), /^Not up to date: the app cannot be reached/);
    await page.screenshot({ path: join(screenshots, "offline.png") });
    await context?.setOffline(false);
    await page.clock.fastForward(60_000);
    await page.waitForSelector("#said:empty", { state: "attached" });
  });

  test("moves nothing for those who want no motion", async () => {
    const page = await open(served.url, { reducedMotion: "reduce" });
    const duration = "getComputedStyle(document.querySelector('button')).transitionDuration";
    assert.equal(await page.evaluate(duration), "0s");
  });

  test("a page of another site cannot rotate with it, and cannot show it in a frame", async () => {
    // Whoever is signed in has the cookie of the form too.
    const page = await open(served.url);
    const token = await page.inputValue("[name=token]");
    const attacker = createServer((_, response) => {
      response.setHeader("content-type", "text/html");
      response.end(
        `<iframe src="${served.url}"></iframe><form method="post" action="${served.url}">
        <input name="token" value="${token}"><input name="rotation" value="partner-api"><button>Win a prize</button></form>`,
      );
    });
    await new Promise<void>((listening) => attacker.listen(0, "127.0.0.1", listening));
    try {
      const { port } = attacker.address() as { port: number };
      await page.goto(`http://localhost:${port}/`);
      assert.match(complaints.join("\n"), /frame-ancestors 'none'/);
      await page.click("button");
      await page.waitForURL(served.url);
      assert.match(await textOf(page, "body"), /CrossSiteRequest/);
      // Its neighbour on the same host is of the same site, but not of the same origin.
      await page.goto(`http://127.0.0.1:${port}/`);
      await page.click("button");
      await page.waitForURL(served.url);
      assert.match(await textOf(page, "body"), /CrossSiteRequest/);
    } finally {
      attacker.closeAllConnections();
      attacker.close();
    }
    assert.equal(scene.runner.history.latest("partner-api"), undefined);
  });
});

describe("the page over the functions host", () => {
  let hosted: Hosted;
  before(async () => {
    hosted = await startHosted();
  });
  after(() => hosted?.[Symbol.asyncDispose]());

  test("asks for the key, keeps it out of every address, and rotates", async () => {
    const { host, azure, log } = hosted;
    const key = host.functionKey.reveal();
    const page = await open(`${host.url}/api/ui`);
    await page.screenshot({ path: join(screenshots, "sign-in.png") });
    assert.deepEqual(await page.evaluate(faintTexts), []);
    // Nobody has given a key: there is nothing to ask for when the tab comes to the front again.
    await page.evaluate("document.dispatchEvent(new Event('visibilitychange'))");
    assert.deepEqual(requested, [`${host.url}/api/ui`]);
    await page.getByLabel("Function key").fill("not-the-key");
    await page.keyboard.press("Enter");
    await page.waitForSelector("#refused:not(:empty)");
    assert.equal(await textOf(page, "#refused"), "The key was refused.");
    assert.equal(await page.evaluate("document.activeElement.id"), "key");
    // The browser itself logs the 401 of a request, and nothing else.
    assert.deepEqual(
      complaints.splice(0).filter((complaint) => !complaint.includes("401")),
      [],
    );

    await page.getByLabel("Function key").fill(key);
    await page.getByRole("button", { name: "Show the rotations" }).click();
    await page.waitForSelector("h3");
    await page.reload();
    await page.waitForSelector("h3");
    await page.getByRole("button", { name: "Rotate oracle-adb now…" }).click();
    await page.getByRole("button", { name: "Rotate now", exact: true }).click();
    await page.waitForSelector("#outcome");
    assert.match(await textOf(page, "#outcome"), /^oracle-adb Rotated\./);
    assert.equal(azure.vault.secrets.versions("oracle-entraid-token").length, 1);

    // As `npm start` prints it: what follows the # never leaves the browser.
    await page.goto("about:blank");
    const other = await (await browser.newContext()).newPage();
    other.on("request", (request) => requested.push(request.url()));
    await other.goto(`${host.url}/api/ui#${key}`);
    await other.waitForSelector("h3");
    assert.equal(other.url(), `${host.url}/api/ui`);
    assert.equal(await other.evaluate("history.length"), 2);
    await other.context().close();

    assert.deepEqual(complaints, []);
    assert.equal(
      requested.some((url) => url.includes(key)),
      false,
    );
    assert.equal(
      log.some((line) => JSON.stringify(line).includes(key)),
      false,
    );
  });

  test("says what it needs where there is no JavaScript", async () => {
    const page = await open(`${hosted.host.url}/api/ui`, { javaScriptEnabled: false });
    assert.match(await textOf(page, "body"), /This sign-in needs JavaScript/);
    const headers = { "x-functions-key": hosted.host.functionKey.reveal() };
    const ready = await open(`${hosted.host.url}/api/ui/page`, {
      javaScriptEnabled: false,
      extraHTTPHeaders: headers,
    });
    await ready.click("#ask-oracle-adb");
    await ready.click("[name=rotation][value=oracle-adb]");
    assert.match(await textOf(ready, "#outcome"), /^oracle-adb (Rotated|SourceUnchanged)\./);
  });
});

/** Texts whose contrast with what is behind them is less than WCAG 2.2 asks for (1.4.3), each with what it has. */
const faintTexts = `(() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const luminance = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let each = element; each !== null; each = each.parentElement) {
      const colour = rgba(getComputedStyle(each).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgba(matchMedia("(prefers-color-scheme: dark)").matches ? "black" : "white");
  };
  const found = [];
  let checked = 0;
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    const text = walker.currentNode.textContent.trim();
    if (text === "" || ["SCRIPT", "STYLE", "NOSCRIPT"].includes(element.tagName) || !element.checkVisibility()) continue;
    checked += 1;
    const style = getComputedStyle(element);
    const [a, b] = [luminance(rgba(style.color)), luminance(behind(element))];
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (contrast < (large ? 3 : 4.5)) found.push(text + " " + contrast.toFixed(2));
  }
  return checked > 3 ? found : ["only " + checked + " texts were found"];
})()`;

/** Buttons that are too small to hit (WCAG 2.2, 2.5.8). */
const smallButtons = `[...document.querySelectorAll("button")].filter((button) => button.checkVisibility()).flatMap((button) => {
  const { width, height } = button.getBoundingClientRect();
  return width >= 24 && height >= 24 ? [] : [button.textContent + " " + width + " x " + height];
})`;
