import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { parseEnv } from "node:util";
import { aToken } from "../builders.ts";
import { unsignedJwt } from "../jwt.ts";
import { fc } from "../properties.ts";
import { complaints, formatOf, layOut } from "./layOut.ts";

test("a JWT stands without quotes, so that every reader takes it", async () => {
  const text = unsignedJwt({ sub: "someone" }, { alg: "RS256" });
  const variables = { PGUSER: "app", PGPASSWORD: "{{ token }}", PGAPPNAME: "my app" };
  assert.equal(
    await layOut({ format: "dotenv", variables }, aToken({ text })),
    `PGUSER=app\nPGPASSWORD=${text}\nPGAPPNAME='my app'\n`,
  );
});

/** Values with everything that means something to a shell or to a parser of such files. */
const values = fc
  .string({ maxLength: 30, unit: fc.constantFrom(...'ab $`"\\!#=;&|<>(){}[]*?~%^é') })
  .filter((text) => !text.endsWith("\\"));

test("Node.js reads what was put in", async () => {
  await fc.assert(
    fc.asyncProperty(values, async (text) => {
      const laidOut = await layOut(
        { format: "dotenv", variables: { A: "{{ token }}", B: "b" } },
        aToken({ text }),
      );
      assert.deepEqual({ ...parseEnv(laidOut) }, { A: text, B: "b" });
    }),
  );
});

test("sh reads what was put in", async () => {
  const texts = [...fc.sample(values, { numRuns: 60, seed: 1 }), "it's", "'", "a 'b' c", "", "-n", "~"];
  const files = await Promise.all(
    texts.map((text) => layOut({ format: "dotenv", variables: { A: "{{ token }}" } }, aToken({ text }))),
  );
  // One shell for all of them: each file is read, and its value printed with an end of its own.
  const script = files.map((file) => `${file}printf '%s\\0' "$A"\n`).join("");
  const output = execFileSync("sh", ["-eu"], { input: script, encoding: "utf8" });
  assert.deepEqual(output.split("\0").slice(0, -1), texts);
});

test("a single quote stands between double quotes where all readers agree, and is refused elsewhere", async () => {
  const format = await formatOf({ format: "dotenv", variables: { A: "{{ token }}" } });
  const read = (text: string) => parseEnv(format.render(aToken({ text })).value.reveal()).A;
  assert.equal(read("it's"), "it's");
  for (const text of ["it's $5", "it's `id`", `it's "x"`, "it's \\", "it's!", "a b\\"]) {
    assert.throws(() => read(text), { code: "FormatNotQuotable", facts: { field: "A" } });
  }
});

test("without quoting the value is what follows the equals sign", async () => {
  const given = { format: "dotenv", quoting: "none", variables: { A: "{{ token }}" } } as const;
  assert.equal(await layOut(given, aToken({ text: `it's "$x" #1` })), `A=it's "$x" #1\n`);
});

test("names and values that would make another variable are refused", async () => {
  const format = "dotenv";
  assert.deepEqual(complaints({ format, variables: { "A=B": "x" } }), ["variables.A=B"]);
  assert.deepEqual(complaints({ format, variables: { A: "x\nLD_PRELOAD=y" } }), ["variables.A"]);
  assert.deepEqual(complaints({ format, variables: {} }), ["variables"]);
  const withClaim = await formatOf({ format, variables: { A: "{{ claims.name }}" } });
  const token = aToken({ text: unsignedJwt({ name: "x\nLD_PRELOAD=y" }) });
  assert.throws(() => withClaim.render(token), { code: "FormatMultiline", facts: { field: "A" } });
});
