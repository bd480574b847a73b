import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { disagreements, events, eventsRead, metrics } from "./contract.ts";
import { analyse } from "./kusto.ts";
import { alertQueries, placeholdersOf } from "./queries.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const alertsTemplate = read("infra/modules/alerts.bicep");
const alerts = JSON.parse(read("infra/alerts.json")) as Record<
  string,
  { readonly dimensions: readonly string[] }
>;

interface Item {
  readonly type: number;
  readonly name: string;
  readonly content: {
    readonly query?: string;
    readonly title?: string;
    readonly timeContextFromParameter?: string;
    readonly parameters?: readonly { readonly name: string }[];
  };
}

const workbookText = read("infra/workbook/rotations.workbook.json");
const workbook = JSON.parse(workbookText) as {
  readonly version: string;
  readonly items: readonly Item[];
  readonly fallbackResourceIds: readonly string[];
};
const workbookQueries = workbook.items.filter(({ content }) => content.query !== undefined);

describe("the queries of the alerts", () => {
  for (const [name, query] of alertQueries) {
    it(`${name} is bound without a complaint`, () => {
      assert.deepEqual(analyse(query).diagnostics, []);
    });

    it(`${name} gives the columns that its alert is split by, as text`, () => {
      const { columns } = analyse(query);
      const { dimensions } = alerts[name] ?? { dimensions: [] };
      assert.ok(dimensions.length > 0);
      assert.deepEqual(
        dimensions.map((dimension) => [dimension, columns.get(dimension)]),
        dimensions.map((dimension) => [dimension, "string"]),
      );
    });

    it(`${name} looks only at events, properties and words that exist`, () => {
      assert.deepEqual(disagreements(query), []);
    });

    it(`${name} uses nothing that a log search alert refuses`, () => {
      // https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-create-log-alert-rule: these are not supported,
      // `ago` takes literals only, and one word is reserved.
      assert.doesNotMatch(query, /\b(?:bag_unpack|pivot|narrow|AggregatedValue|search|ingestion_time)\b/);
      for (const [, argument] of query.matchAll(/\bago\(([^)]*)\)/g)) {
        assert.match(argument ?? "", /^\d+[smhd]$/);
      }
    });

    it(`${name} has only placeholders that the template fills in`, () => {
      const filledIn = /^type queryValues = \{\n(.*?)^\}/ms.exec(alertsTemplate)?.[1] ?? "";
      const known = [...filledIn.matchAll(/^ {2}(\w+): string$/gm)].map(([, key]) => key);
      assert.deepEqual(
        placeholdersOf(query).filter((key) => !known.includes(key)),
        [],
      );
    });

    it(`${name} keeps to its own component or identity in a workspace that is shared`, () => {
      const tables = [...query.matchAll(/^[^/\n]*\b(?:AppEvents|AppMetrics)\b/gm)].length;
      const filters = [...query.matchAll(/_ResourceId =~ (?:component\b|"\{componentId\}")/g)].length;
      assert.equal(filters, tables);
      assert.ok(tables > 0 || query.includes('"{principalId}"'));
    });
  }

  it("between them look at every event that asks for somebody's attention", () => {
    const read = new Set([...alertQueries.values()].flatMap(eventsRead));
    const calm = ["ConsumerUpdated"];
    assert.deepEqual(
      [...events.keys()].filter((name) => !read.has(name) && !calm.includes(name)),
      [],
    );
  });
});

describe("the workbook", () => {
  it("is a notebook that reads the workspace it is deployed with", () => {
    assert.equal(workbook.version, "Notebook/1.0");
    assert.deepEqual(workbook.fallbackResourceIds, ["{workspaceId}"]);
    assert.deepEqual(placeholdersOf(workbookText).sort(), ["componentId", "workspaceId"]);
  });

  it("names each of its parts once", () => {
    const names = workbook.items.map(({ name }) => name);
    assert.deepEqual(names, [...new Set(names)]);
  });

  it("shows freshness, renewals, failures, heartbeat, consumers and versions", () => {
    const names = new Set(workbookQueries.map(({ name }) => name));
    for (const part of ["freshness", "renewals", "failures", "heartbeat", "consumers", "versions"]) {
      assert.ok(names.has(part), part);
    }
  });

  for (const { name, content } of workbookQueries) {
    it(`${name} has a title, follows the time range and is bound without a complaint`, () => {
      assert.ok(content.title);
      const parameters = workbook.items.flatMap(({ content }) => content.parameters ?? []);
      assert.ok(parameters.some((parameter) => parameter.name === content.timeContextFromParameter));
      assert.deepEqual(analyse(content.query ?? "").diagnostics, []);
      assert.deepEqual(disagreements(content.query ?? ""), []);
    });
  }
});

describe("the queries of the documentation", () => {
  for (const document of ["docs/runbook.md", "docs/deploy.md"]) {
    it(`${document} gives queries that run`, () => {
      const fences = [...read(document).matchAll(/^ *```kusto\n(.*?)^ *```$/gms)].map(
        ([, query = ""]) => query,
      );
      assert.ok(fences.length > 0);
      for (const query of fences) {
        assert.deepEqual(analyse(query).diagnostics, [], query);
        assert.deepEqual(disagreements(query), [], query);
      }
    });
  }
});

describe("the check itself", () => {
  it("reads the contract from its source", () => {
    assert.deepEqual([...(events.get("RefreshTokenExpiring")?.measurements ?? [])], ["secondsToExpiry"]);
    assert.deepEqual([...(events.get("SignInRequired")?.properties ?? [])].sort(), [
      "code",
      "command",
      "operation",
      "outcome",
      "reason",
      "rotation",
      "stage",
    ]);
    assert.ok(events.get("TickCompleted")?.properties.has("pastDue"));
    assert.deepEqual(metrics.names, ["SecondsToExpiry", "SecretVersions"]);
    assert.deepEqual([...metrics.shape.properties].sort(), ["operation", "output", "rotation", "vault"]);
  });

  it("finds a column, a function and a word that do not exist", () => {
    assert.match(analyse("AppEvents | where Title == 1").diagnostics[0] ?? "", /Title/);
    assert.match(analyse("AppEvents | project shorten(Name)").diagnostics[0] ?? "", /shorten/);
    assert.deepEqual(
      disagreements(
        'AppEvents | where Name == "RotationLost" or Name in ("RotationFailed") | where Properties.outcome == "Lost" | project Properties.stages, Measurements["attempts"]',
      ),
      [
        "no AppEvents named RotationLost",
        "no property stages on RotationLost,RotationFailed",
        "no measurement attempts on RotationLost,RotationFailed",
        "no outcome Lost",
      ],
    );
  });
});
