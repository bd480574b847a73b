import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import { test } from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const main = fileURLToPath(new URL("../../src/cli/main.ts", import.meta.url));

test("a reader that has seen enough, as `| head` has, is no error", async () => {
  const child = spawn(process.execPath, [main, "--help"]);
  child.stdout.destroy();
  const [complaint, [exitCode]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.equal(complaint, "");
  assert.equal(exitCode, 0);
});

test("output that cannot be written is told in a line, and is no success", async () => {
  const script = `
    const full = Object.assign(new Error("no space"), { code: "ENOSPC" });
    process.stdout._write = (chunk, encoding, done) => done(full);
    process.argv.push("--version");
    await import(${JSON.stringify(pathToFileURL(main).href)});
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script, "main"]);
  const [complaint, [exitCode]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.match(complaint, /^OutputLost: .*ENOSPC.*\n {2}.*\n$/);
  assert.equal(exitCode, 1);
});

test("a directory that is gone is told in a line", async () => {
  const script = `
    process.cwd = () => {
      throw new Error("uv_cwd");
    };
    await import(${JSON.stringify(pathToFileURL(main).href)});
  `;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script, "main"]);
  const [complaint, [exitCode]] = await Promise.all([text(child.stderr), once(child, "exit")]);
  assert.match(complaint, /^DirectoryGone: /);
  assert.equal(exitCode, 2);
});

test("a second Ctrl-C ends what the first one could not, also where a live table listens for signals too", async () => {
  const script = `
    process.argv.push("--version");
    await import(${JSON.stringify(pathToFileURL(main).href)});
    // As the package that shows live tables does by way of another.
    (await import("signal-exit")).onExit(() => {});
    setInterval(() => {}, 1000);
    process.once("SIGINT", () => console.log("first"));
    console.log("ready");
  `;
  const cwd = new URL("../..", import.meta.url);
  const child = spawn(process.execPath, ["--input-type=module", "--eval", script, "main"], { cwd });
  const lines: string[] = [];
  child.stdout.setEncoding("utf8").on("data", (line: string) => {
    lines.push(line);
    if (/ready|first/.test(line)) {
      child.kill("SIGINT");
    }
  });
  const [exitCode, signal] = await once(child, "exit");
  assert.match(lines.join(""), /ready\nfirst\n/);
  assert.deepEqual([exitCode, signal], [130, null]);
});
