import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { alertQueries } from "./queries.ts";

interface Alert {
  readonly severity: number;
  readonly title: string;
  readonly meaning: string;
  readonly frequency: string;
  readonly window: string;
}

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const alerts = Object.entries(JSON.parse(read("infra/alerts.json")) as Record<string, Alert>);
const template = read("infra/modules/alerts.bicep");
const runbook = read("docs/runbook.md");

/** What Azure takes for a log search alert, in minutes: a query never looks back further than two days. */
const minutes: Readonly<Record<string, number>> = {
  PT5M: 5,
  PT15M: 15,
  PT1H: 60,
  PT6H: 360,
  P1D: 1440,
  P2D: 2880,
};

describe("the alerts", () => {
  it("have a query each, and every query has an alert", () => {
    assert.deepEqual(alerts.map(([name]) => name).sort(), [...alertQueries.keys()]);
  });

  for (const [name, alert] of alerts) {
    it(`${name} is made by the template from its own query`, () => {
      assert.match(
        template,
        new RegExp(`^ {2}'?${name}'?: loadTextContent\\('\\.\\./queries/${name}\\.kql'\\)$`, "m"),
      );
    });

    it(`${name} is evaluated in times that Azure takes`, () => {
      const { frequency, window } = alert;
      assert.ok(
        (minutes[frequency] ?? Number.NaN) <= (minutes[window] ?? Number.NaN),
        `${frequency} in ${window}`,
      );
      assert.ok([0, 1, 2, 3].includes(alert.severity));
    });

    it(`${name} says what it means, and the runbook what to do`, () => {
      assert.match(alert.meaning, /^[A-Z].*\.$/);
      const section = sectionOf(name);
      for (const heading of ["What it means", "First look", "Mend it"]) {
        assert.match(section, new RegExp(`^\\*\\*${heading}\\.\\*\\*`, "m"), heading);
      }
      assert.match(section, new RegExp(`^Severity ${alert.severity}\\.`, "m"));
    });
  }
});

describe("the runbook", () => {
  it("has a section for each alert and for nothing else", () => {
    const sections = [...runbook.matchAll(/^## (.*)$/gm)].map(([, title]) => title);
    assert.deepEqual(sections.sort(), alerts.map(([name]) => name).sort());
  });
});

function sectionOf(name: string): string {
  const [, section = ""] = new RegExp(`^## ${name}\\n(.*?)(?=^## |$(?![\\s\\S]))`, "ms").exec(runbook) ?? [];
  assert.notEqual(section, "", `docs/runbook.md has no section ${name}`);
  return section;
}
