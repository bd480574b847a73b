import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import * as z from "zod";
import { parseDuration } from "../../src/config/duration.ts";
import { registries } from "../../src/config/registries.ts";

interface Entry {
  readonly action: string;
  readonly why: string;
  readonly calls: readonly string[];
}

interface Role {
  readonly name: string;
  readonly description: string;
  readonly actions?: readonly Entry[];
  readonly dataActions?: readonly Entry[];
}

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const roles = JSON.parse(read("infra/roles.json")) as Record<string, Role>;
const entries = Object.values(roles).flatMap(({ actions = [], dataActions = [] }) => [
  ...actions,
  ...dataActions,
]);
const configuration = read("infra/configuration.bicep");

describe("the custom roles", () => {
  it("hold each action once, with its reason and the calls that need it", () => {
    const actions = entries.map(({ action }) => action.toLowerCase());
    assert.deepEqual(actions, [...new Set(actions)]);
    for (const { action, why, calls } of entries) {
      assert.match(action, /^Microsoft\.(?:KeyVault|App)\/(?:[a-zA-Z]+\/)+(?:action|read|write)$/);
      assert.match(why, /^[A-Z].*\.$/);
      assert.ok(calls.length > 0, action);
    }
  });

  it("grant no wildcard, no deletion and no access to roles", () => {
    for (const { action } of entries) {
      assert.doesNotMatch(action, /\*|delete|purge|Authorization/i);
    }
  });

  it("keep reading values apart from setting them", () => {
    const withValues = Object.entries(roles).filter(([, { dataActions = [] }]) =>
      dataActions.some(({ action }) => /getSecret/.test(action)),
    );
    assert.deepEqual(
      withValues.map(([key, { dataActions = [] }]) => [key, dataActions.length]),
      [["secretReader", 1]],
    );
  });

  it("are all assigned, and are what docs/deploy.md says", () => {
    const modules = ["vaultAccess", "containerAppAccess"]
      .map((name) => read(`infra/modules/${name}.bicep`))
      .join();
    for (const key of Object.keys(roles)) {
      assert.match(modules, new RegExp(`\\broles\\.${key}\\b`));
    }
    const table = read("docs/deploy.md");
    const documented = [...table.matchAll(/^\| `(Microsoft\.[^`]+)` \|/gm)].map(([, action = ""]) => action);
    assert.deepEqual(documented.sort(), entries.map(({ action }) => action).sort());
  });
});

describe("what the template derives from rotations.json", () => {
  /** The keys whose secrets' values are read: the list with `privateKey` in configuration.bicep. */
  const [, list = ""] =
    /sourceSecrets\(configuration, \[([^\]]*privateKey[^\]]*)\]\)/.exec(configuration) ?? [];
  const keys = [...list.matchAll(/'(\w+)'/g)].map(([, key = ""]) => key);
  const nested = [...configuration.matchAll(/listOf\(source, '(\w+)'\)/g)].map(([, key = ""]) => key);

  it("knows every key under which a source can name a secret", () => {
    const paths = Object.entries(registries.sources).flatMap(([kind, { schema }]) =>
      secretPaths(z.toJSONSchema(schema(z), { io: "input", unrepresentable: "any" }) as Schema).map(
        (path) => ({
          kind,
          path,
        }),
      ),
    );
    assert.ok(paths.some(({ path }) => path.join(".") === "clientSecret"));
    assert.ok(paths.some(({ path }) => path.join(".") === "authorization.clientSecret"));
    const knowsMaps = configuration.includes("items(source.?secrets ?? {})");
    const unknown = paths.filter(({ path }) => {
      const inMap = path.at(-1) === "*" && path.at(-2) === "secrets";
      const key = path.at(-1) ?? "";
      const outer = path.slice(0, inMap ? -2 : -1);
      return (
        !(inMap ? knowsMaps : keys.includes(key)) ||
        !(outer.length === 0 || (outer.length === 1 && nested.includes(outer[0] ?? "")))
      );
    });
    assert.deepEqual(unknown, []);
  });

  it("takes the ticks that a schedule can say, which are the divisors of an hour", () => {
    const [, list = ""] = /contains\(\[([^\]]*)\], tick\)/.exec(configuration) ?? [];
    const ticks = [...list.matchAll(/'(\w+)'/g)].map(([, tick = ""]) => (parseDuration(tick) ?? 0) / 60_000);
    const divisors = Array.from({ length: 59 }, (_, index) => index + 1).filter(
      (minutes) => 60 % minutes === 0,
    );
    assert.deepEqual(ticks, divisors);
  });

  it("knows every kind of consumer by the name of its target", () => {
    assert.match(configuration, /consumer\.\?app \?\? consumer\.\?job/);
    const kinds = Object.keys(registries.consumers);
    const access = read("infra/modules/containerAppAccess.bicep");
    const handled = [...access.matchAll(/consumerNames\(consumers, '([\w-]+)'\)/g)].map(([, kind]) => kind);
    assert.deepEqual(handled.sort(), kinds.sort());
  });
});

describe("the templates", () => {
  const files = readdirSync(new URL("../../infra", import.meta.url), { recursive: true, encoding: "utf8" })
    .filter((file) => file.endsWith(".bicep"))
    .map((file) => file.replaceAll("\\", "/"));

  for (const file of files) {
    const source = read(`infra/${file}`);

    it(`${file} describes each of its parameters and outputs`, () => {
      // A decorator ends at the end of a line; nothing but decorators stands between it and what it describes.
      for (const [, before = "", what] of source.matchAll(/((?:^[@)\]}' ].*\n)*)^(param|output) /gm)) {
        assert.match(before, /@description\(/, `${what} without a description`);
      }
    });

    it(`${file} gives roles nowhere above a resource group`, () => {
      assert.doesNotMatch(source, /targetScope = '(?:subscription|managementGroup|tenant)'/);
      assert.doesNotMatch(source, /scope: (?:subscription|managementGroup|tenant)\(/);
      assert.doesNotMatch(source, /assignableScopes: \[(?!\s*resourceGroup\(\)\.id\s*\])/);
    });

    it(`${file} names role assignments so that a redeployment finds them`, () => {
      const resources = source.split(/^resource /m).slice(1);
      for (const resource of resources.filter((text) =>
        /'Microsoft\.Authorization\/roleAssignments@/.test(text),
      )) {
        assert.match(resource, /\bname: guid\([^\n]*\bprincipalId\b/);
      }
    });
  }
});

interface Schema {
  readonly $ref?: string;
  readonly $defs?: Readonly<Record<string, Schema>>;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: Schema | boolean;
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

/** Where in a source's options a Key Vault secret is named: an object with `secret` and an optional `vault`. */
function secretPaths(root: Schema): string[][] {
  const walk = (schema: Schema, path: readonly string[]): string[] => {
    const target = schema.$ref === undefined ? undefined : root.$defs?.[schema.$ref.replace("#/$defs/", "")];
    const {
      properties = {},
      additionalProperties,
      items,
      anyOf = [],
      oneOf = [],
      allOf = [],
    } = target ?? schema;
    const any = [typeof additionalProperties === "object" ? additionalProperties : [], items ?? []].flat();
    if (properties.secret !== undefined && properties.vault !== undefined) {
      return [path.join(".")];
    }
    return [
      ...[...anyOf, ...oneOf, ...allOf].flatMap((branch) => walk(branch, path)),
      ...any.flatMap((inner) => walk(inner, [...path, "*"])),
      ...Object.entries(properties).flatMap(([key, inner]) => walk(inner, [...path, key])),
    ];
  };
  return [...new Set(walk(root, []))].map((path) => path.split("."));
}
