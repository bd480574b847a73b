import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { describe, it } from "node:test";
import { documentFile, withContract } from "../../scripts/telemetryDoc.ts";
import { eventContract } from "../../src/telemetry/contract.ts";
import { disagreements } from "../infra/contract.ts";
import { analyse } from "../infra/kusto.ts";

describe("docs/telemetry.md", async () => {
  const document = await readFile(documentFile, "utf8");

  it("has the tables of the contract (node scripts/telemetryDoc.ts)", () => {
    assert.equal(withContract(document), document);
  });

  it("has a section for every event", () => {
    for (const name of Object.keys(eventContract)) {
      assert.match(document, new RegExp(`^### ${name}$`, "m"));
    }
  });

  it("links only to headings that it has", () => {
    const anchors = [...document.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
      heading.toLowerCase().replaceAll(" ", "-"),
    );
    const links = [...document.matchAll(/\]\(#([^)]+)\)/g)].map(([, anchor = ""]) => anchor);
    assert.ok(links.length > 0);
    assert.deepEqual(
      links.filter((link) => !anchors.includes(link)),
      [],
    );
  });

  it("gives queries that run and read what exists", () => {
    const queries = [...document.matchAll(/^```kusto\n(.*?)^```$/gms)].map(([, query = ""]) => query);
    assert.ok(queries.length > 4);
    for (const query of queries) {
      assert.deepEqual(analyse(query).diagnostics, [], query);
      assert.deepEqual(disagreements(query), [], query);
    }
  });

  it("cannot be written where its marks are gone", () => {
    assert.throws(() => withContract("# Telemetry\n"), /marks/);
  });
});
