import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { checkInfra, entryFiles, type Run } from "../../scripts/checkInfra.ts";

const absent: Run = { status: undefined, output: "" };
const clean: Run = { status: 0, output: "" };

/** Records what is started; everything answers `clean` but what is stated, by the beginning of its command line. */
function tools(answers: Readonly<Record<string, Run>>, checker?: string) {
  const started: string[] = [];
  const run = (command: string, args: readonly string[]): Run => {
    const line = [command === process.execPath ? "node" : command, ...args].join(" ");
    started.push(line);
    return Object.entries(answers).find(([beginning]) => line.startsWith(beginning))?.[1] ?? clean;
  };
  return { started, run, checker };
}

describe("checkInfra", () => {
  it("builds and lints with the compiler where there is one", () => {
    const compiler = tools({}, "check-bicep.mjs");
    assert.deepEqual(checkInfra(["a.bicep", "a.bicepparam"], compiler), {
      passed: true,
      lines: ["bicep: 2 files, 0 with findings"],
    });
    assert.deepEqual(compiler.started.slice(1), [
      "bicep build a.bicep --stdout",
      "bicep lint a.bicep",
      "bicep build-params a.bicepparam --stdout",
      "bicep lint a.bicepparam",
    ]);
  });

  it("fails on a warning, which the compiler itself lets pass, and tells it once", () => {
    const warning = "a.bicep(1,7) : Warning no-unused-params: Parameter is declared but never used.";
    const found = { status: 0, output: `${warning}\n` };
    assert.deepEqual(checkInfra(["a.bicep"], tools({ "bicep build": found, "bicep lint": found })), {
      passed: false,
      lines: [warning, "bicep: 1 files, 1 with findings"],
    });
  });

  it("fails when the compiler fails without saying why", () => {
    assert.equal(checkInfra(["a.bicep"], tools({ "bicep lint": { status: 1, output: "" } })).passed, false);
  });

  it("uses the other checker where there is no compiler", () => {
    const checker = tools(
      { bicep: absent, node: { status: 1, output: "a.bicep:1:7: error BCP057: …" } },
      "c.mjs",
    );
    const { passed, lines } = checkInfra(["a.bicep"], checker);
    assert.equal(passed, false);
    assert.equal(lines[0], "a.bicep:1:7: error BCP057: …");
    assert.deepEqual(checker.started, ["bicep --version", "node c.mjs a.bicep"]);
  });

  it("fails where there is neither", () => {
    const { passed, lines } = checkInfra(["a.bicep"], tools({ bicep: absent }));
    assert.equal(passed, false);
    assert.match(lines.join(), /Nothing was checked/);
  });

  it("is given every template and parameter file that can be deployed", () => {
    const files = entryFiles();
    for (const file of ["infra/main.bicep", "infra/main.bicepparam", "infra/examples/aks-pods.bicep"]) {
      assert.ok(files.includes(file), file);
    }
  });
});
