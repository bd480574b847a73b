import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { slow } from "./together/together.ts";

const module = JSON.stringify(new URL("together/together.ts", import.meta.url).href);
const part = `import { together } from ${module};\ntogether(import.meta.filename);\n`;

function aTest(name: string, body: string): string {
  return `import { after, test } from "node:test";\ntest("${name}", () => {\n${body}\n});\n`;
}

/** The parts of a folder of tests, run. */
async function run(files: Readonly<Record<string, string>>): Promise<{ code: number; output: string }> {
  const folder = await mkdtemp(join(tmpdir(), "together-"));
  try {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    // Of the runner that this test runs under: another one would take itself for a part of it.
    const { NODE_TEST_CONTEXT: _, ...environment } = process.env;
    const parts = Object.keys(files).filter((name) => name.startsWith("together/"));
    const argv = [
      "--test",
      "--test-isolation=none",
      "--test-reporter=tap",
      ...parts.map((name) => join(folder, name)),
    ];
    return await new Promise((resolve) => {
      execFile(process.execPath, argv, { env: environment }, (error, output) => {
        resolve({ code: typeof error?.code === "number" ? error.code : 0, output });
      });
    });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

describe("files that share a process", () => {
  test("take long by names that there are", () => {
    const names = Object.keys(slow);
    assert.deepEqual(
      names.filter((name) => !existsSync(join(import.meta.dirname, name))),
      [],
    );
  });

  test("run once each, except those that are alone and those of the second suite", async () => {
    const { code, output } = await run({
      "together/part1.test.ts": part,
      "together/part2.test.ts": part,
      "first.test.ts": aTest("one", ""),
      "folder/second.test.ts": aTest("two", ""),
      "folder/third.test.ts": aTest("three", ""),
      "folder/own.alone.test.ts": aTest("alone", ""),
      "programs/psql.test.ts": aTest("program", ""),
    });
    assert.equal(code, 0, output);
    const names = [...output.matchAll(/^ +ok \d+ - (\w+)$/gm)].map(([, name]) => name);
    assert.deepEqual(names.sort(), ["one", "three", "two"]);
  });

  test("fail where one of them leaves something to the next, which is named", async () => {
    const { code, output } = await run({
      "together/part1.test.ts": part,
      "environment.test.ts": aTest("sets", "process.env.LEFT_BEHIND = 'here';"),
      "fetch.test.ts": aTest("replaces", "globalThis.fetch = () => {};"),
      "tidy.test.ts": aTest(
        "sets and puts back",
        "process.env.TIDY = '1'; after(() => { delete process.env.TIDY; });",
      ),
    });
    assert.notEqual(code, 0);
    assert.match(output, /environment\.test\.ts leaves process\.env\.LEFT_BEHIND changed: put it back/);
    assert.match(output, /fetch\.test\.ts leaves globalThis\.fetch changed: put it back/);
    assert.doesNotMatch(output, /tidy\.test\.ts leaves/);
  });

  test("fail where one of them cannot be loaded", async () => {
    const { code } = await run({
      "together/part1.test.ts": part,
      "broken.test.ts": "import './nowhere.ts';\n",
    });
    assert.notEqual(code, 0);
  });
});
