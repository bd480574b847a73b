import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { InvocationContext, Timer } from "@azure/functions";
import { healthResponse } from "../../functions/health.ts";
import { tick } from "../../functions/tick.ts";

const timer = (isPastDue: boolean): Timer => ({
  isPastDue,
  schedule: { adjustForDST: true },
  scheduleStatus: { last: "", next: "", lastUpdated: "" },
});

/** Keeps what is said, by level. */
function contextOf(lines: string[]): InvocationContext {
  const at = (level: string) => (line: string) => lines.push(`${level} ${line}`);
  const levels = { debug: at("debug"), info: at("info"), warn: at("warn"), error: at("error") };
  return { invocationId: "an-invocation", ...levels } as unknown as InvocationContext;
}

describe("the functions", () => {
  const original = process.env.ROTATIONS_FILE;
  before(() => {
    process.env.ROTATIONS_FILE = join(import.meta.dirname, "no-such-file.json");
  });
  after(() => {
    if (original === undefined) {
      delete process.env.ROTATIONS_FILE;
    } else {
      process.env.ROTATIONS_FILE = original;
    }
  });

  it("tick fails when the tick failed, and its log goes to the invocation", async () => {
    const lines: string[] = [];
    await assert.rejects(tick(timer(false), contextOf(lines)), { code: "ConfigurationUnreadable" });
    assert.equal(lines.filter((line) => line.startsWith("error ConfigurationUnreadable")).length, 1);
    assert.equal(lines.filter((line) => line.startsWith("warn ")).length, 0);
  });

  it("tick says that it is past due", async () => {
    const lines: string[] = [];
    await assert.rejects(tick(timer(true), contextOf(lines)));
    assert.match(lines[0] ?? "", /^warn The tick is past due/);
  });

  it("health says that the app is alive, is not cached, and knows no tick before one is complete", async () => {
    assert.deepEqual(await healthResponse(), {
      jsonBody: { alive: true },
      headers: { "cache-control": "no-store" },
    });
  });
});
