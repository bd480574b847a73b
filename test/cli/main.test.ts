import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

test("a reader that has seen enough, as `| head` has, is no error", async () => {
  const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));
  const child = spawn(process.execPath, [main, "--help"]);
  child.stdout.destroy();
  const [complaint, [exitCode]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.equal(complaint, "");
  assert.equal(exitCode, 0);
});
