import assert from "node:assert/strict";
import { test } from "node:test";
import type { HttpResponseInit } from "@azure/functions";
import { endpoint } from "../../src/http/endpoint.ts";
import { metrics } from "../../src/http/metrics.ts";
import { aSource, epoch, minutes } from "../builders.ts";
import { aConsumer, aRequest, Scene } from "./scene.ts";

const vault = "https://kv-test.vault.azure.net";

async function scrape(scene: Scene) {
  const handler = endpoint(async () => metrics, { runner: scene.runner, access: "key" });
  const { headers, body } = (await handler(aRequest(), scene.context)) as HttpResponseInit;
  return { headers: headers as Record<string, string>, text: body as string };
}

/** Samples by name, each as its labels and its value. */
function samples(text: string): Record<string, [labels: string, value: number][]> {
  const found: Record<string, [string, number][]> = {};
  for (const line of text.split("\n").filter((each) => each !== "" && !each.startsWith("#"))) {
    const [, name = "", labels = "", value] = /^(\w+)\{(.*)\} (-?[\d.e+]+)$/.exec(line) ?? assert.fail(line);
    found[name] = [...(found[name] ?? []), [labels, Number(value)]];
  }
  return found;
}

test("a scrape tells what the vault, the consumers and this process know", async () => {
  const scene = new Scene();
  const consumers = aConsumer("postgres-mcp", "app-token", "current");
  scene.seed(scene.add("app", { consumers }), 10 * minutes);
  scene.add("bad", {
    sources: [
      aSource(async () => {
        throw new TypeError("no");
      }),
    ],
  });
  const context = { invocationId: "an-invocation", log: () => {} };
  await scene.runner.tickNow({}, context);
  await scene.runner.tickNow({}, context);

  const { headers, text } = await scrape(scene);
  assert.equal(headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
  assert.equal(headers["cache-control"], "no-store");
  const app = `rotation="app",output="app-token",vault="${vault}"`;
  const bad = `rotation="bad",output="bad-token",vault="${vault}"`;
  assert.deepEqual(samples(text), {
    token_rotator_seconds_to_expiry: [[app, 3000]],
    token_rotator_freshness: [
      [`${app},freshness="fresh"`, 1],
      [`${bad},freshness="missing"`, 1],
    ],
    token_rotator_consumer_state: [
      [`rotation="app",output="app-token",consumer="${consumers[0]?.consumer.target}",state="current"`, 1],
    ],
    token_rotator_last_success_timestamp_seconds: [[app, epoch / 1000]],
    token_rotator_process_last_failure_timestamp_seconds: [['rotation="bad",outcome="Failed"', epoch / 1000]],
    token_rotator_process_rotations_total: [
      ['outcome="Propagated"', 2],
      ['outcome="Failed"', 2],
    ],
  });
});

test("it is OpenMetrics: every family has its help and type before its samples, and it ends as it must", async () => {
  const scene = new Scene();
  scene.seed(scene.add("app"), 0);
  const { text } = await scrape(scene);
  const lines = text.split("\n");
  assert.deepEqual(lines.slice(-2), ["# EOF", ""]);
  let family = "";
  for (const line of lines.slice(0, -2)) {
    const [, keyword, name = "", rest] = /^# (HELP|TYPE) (\w+) (.+)$/.exec(line) ?? [];
    if (keyword === "HELP") {
      family = name;
    } else if (keyword === "TYPE") {
      assert.equal(name, family);
      assert.match(rest ?? "", /^(gauge|counter)$/);
    } else {
      assert.ok(line.startsWith(`${family}{`) || line.startsWith(`${family}_total{`), line);
    }
  }
  assert.match(text, /^# TYPE token_rotator_process_rotations counter$/m);
});

test("each scrape begins anew: what is gone from the configuration is gone from the metrics", async () => {
  const scene = new Scene();
  scene.seed(scene.add("app"), 0);
  scene.seed(scene.add("gone"), 0);
  assert.match((await scrape(scene)).text, /rotation="gone"/);
  scene.rotations.pop();
  await scene.engine.clock.advance(5_000);
  assert.doesNotMatch((await scrape(scene)).text, /rotation="gone"/);
});
