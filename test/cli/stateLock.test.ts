import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { holdDirectory } from "../../src/cli/stateLock.ts";
import { command } from "./testIo.ts";

let directory: string;

before(async () => {
  directory = await mkdtemp(join(tmpdir(), "state-lock-"));
});

after(() => rm(directory, { recursive: true }));

const pidFile = () => join(directory, "pid");

test("a directory that another process works in is refused, and left as it is", async () => {
  // The process that started this one lives as long as it.
  await writeFile(pidFile(), String(process.ppid));
  const { exitCode, stderr } = await command(["local", "--state", directory]);
  assert.equal(exitCode, 2);
  assert.match(stderr, new RegExp(`^StateInUse: .*pid=${process.ppid}`));
  assert.deepEqual(await readdir(directory), ["pid"]);
  await rm(pidFile());
});

test("what a process that was killed has left is taken over, and nothing is left at the end", async () => {
  // Above what any system numbers its processes with; and, as in a container, this process's own.
  for (const pid of [2 ** 30, process.pid]) {
    await writeFile(pidFile(), String(pid));
    {
      await using _held = await holdDirectory(directory);
      assert.deepEqual(await readdir(directory), ["pid"]);
    }
    assert.deepEqual(await readdir(directory), []);
  }
});

test("one that is just being taken is not taken over", async () => {
  await writeFile(pidFile(), "");
  await assert.rejects(holdDirectory(directory), { code: "StateInUse" });
});
