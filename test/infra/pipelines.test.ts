import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { parse } from "yaml";

const root = new URL("../../", import.meta.url);
const read = (path: string) => readFileSync(new URL(path, root), "utf8");
const { scripts } = JSON.parse(read("package.json")) as {
  readonly scripts: Readonly<Record<string, string>>;
};

/** The scripts of package.json that a text calls. */
function scriptsCalled(text: string): string[] {
  const called = [...text.matchAll(/\bnpm (?:run ([\w:-]+)|(test)\b)/g)];
  return called.map(([, name, test]) => name ?? test ?? "");
}

describe("azure.yaml", () => {
  const project = parse(read("azure.yaml"));

  it("deploys what the packaging script makes, to the app that the template tags", () => {
    const [[name, service]] = Object.entries<Record<string, string>>(project.services) as [
      [string, Record<string, string | boolean>],
    ];
    assert.equal(service.host, "function");
    assert.equal(service.dist, "build/app");
    assert.equal(service.remoteBuild, false);
    assert.match(read("infra/main.bicep"), new RegExp(`^ {4}serviceName: '${name}'$`, "m"));
    assert.ok(existsSync(new URL(`${project.infra.path}/${project.infra.module}.bicep`, root)));
  });

  it("validates before it provisions and before it deploys, and packages before it deploys, on every system", () => {
    for (const system of ["windows", "posix"]) {
      assert.match(project.hooks.preprovision[system].run, /token-rotator\.js validate/);
      assert.match(project.hooks.predeploy[system].run, /token-rotator\.js validate/);
      assert.match(project.services.rotator.hooks.prepackage[system].run, /npm run package/);
    }
  });

  it("calls scripts that exist", () => {
    assert.deepEqual(
      scriptsCalled(read("azure.yaml")).filter((name) => !(name in scripts)),
      [],
    );
  });
});

describe("the parameters from the environment", () => {
  it("are the parameters of the template", () => {
    const parameters = [...read("infra/main.bicep").matchAll(/^param (\w+) /gm)].map(([, name]) => name);
    for (const file of ["infra/main.bicepparam", "infra/examples/production.bicepparam"]) {
      for (const [, name] of read(file).matchAll(/^param (\w+) =/gm)) {
        assert.ok(parameters.includes(name), `${file}: ${name}`);
      }
    }
  });

  it("are explained, and passed on by the deployment", () => {
    const variables = [...read("infra/main.bicepparam").matchAll(/readEnvironmentVariable\('(\w+)'/g)];
    const workflow = read(".github/workflows/deploy.yml");
    const guide = read("docs/deploy.md");
    for (const [, name = ""] of variables) {
      assert.match(workflow, new RegExp(`\\b${name}: `), `deploy.yml: ${name}`);
      assert.match(guide, new RegExp(`\`${name}\``), `docs/deploy.md: ${name}`);
    }
  });
});

describe("the workflows", () => {
  const files = readdirSync(new URL(".github/workflows", root)).map((file) => `.github/workflows/${file}`);

  for (const file of files) {
    const workflow = parse(read(file));
    const jobs = Object.values<{
      readonly uses?: string;
      readonly steps?: readonly { readonly uses?: string; readonly run?: string }[];
      readonly permissions?: Readonly<Record<string, string>>;
    }>(workflow.jobs);

    it(`${file} pins every action to a major version`, () => {
      const actions = jobs.flatMap(({ uses, steps = [] }) => [uses, ...steps.map((step) => step.uses)]);
      for (const action of actions.filter((action) => action !== undefined)) {
        assert.match(action, /^(?:[\w-]+\/[\w-]+@v\d+|\.\/\.github\/workflows\/[\w-]+\.yml)$/);
      }
    });

    it(`${file} asks for no more than reading the code and, to sign in, a token`, () => {
      for (const granted of [
        workflow.permissions,
        ...jobs.flatMap(({ permissions }) => (permissions === undefined ? [] : [permissions])),
      ]) {
        const { contents, "id-token": idToken, ...others } = granted;
        assert.equal(contents, "read");
        assert.ok(idToken === undefined || idToken === "write");
        assert.deepEqual(others, {});
      }
    });

    it(`${file} puts no expression of the caller's into a script`, () => {
      const inScripts = jobs.flatMap(({ steps = [] }) =>
        steps.flatMap(({ run = "" }) =>
          [...run.matchAll(/\$\{\{\s*([^}]*?)\s*\}\}/g)].map(([, expression]) => expression),
        ),
      );
      assert.deepEqual(
        inScripts.filter((expression) => expression !== "github.run_number"),
        [],
      );
    });

    it(`${file} calls scripts that exist`, () => {
      assert.deepEqual(
        scriptsCalled(read(file)).filter((name) => !(name in scripts)),
        [],
      );
    });
  }

  it("test on three systems with both versions of Node.js that are supported", () => {
    const { matrix } = parse(read(".github/workflows/ci.yml")).jobs.test.strategy;
    assert.deepEqual(matrix, { os: ["ubuntu-latest", "macos-latest", "windows-latest"], node: [22, 24] });
  });

  it("sign in with a federated credential and no secret of Azure's", () => {
    const text = read(".github/workflows/deploy.yml");
    assert.match(text, /uses: azure\/login@v\d+/);
    assert.deepEqual(
      [...text.matchAll(/secrets\.(\w+)/g)].map(([, name]) => name),
      ["ALERT_WEBHOOK_URL"],
    );
  });
});
