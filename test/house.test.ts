import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, posix } from "node:path";
import { describe, test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));

interface Source {
  /** From the root, with forward slashes. */
  readonly file: string;
  readonly text: string;
  /** What it imports: packages by name, files by their path from the root. */
  readonly imports: readonly string[];
}

const sources: readonly Source[] = ["src", "functions"].flatMap((folder) =>
  readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => {
      const file = posix.join(folder, name.replaceAll("\\", "/"));
      const text = readFileSync(join(root, file), "utf8");
      const found = [...text.matchAll(/(?:\bfrom|\bimport\()\s*"([^"]+)"/g)].map(([, target = ""]) => target);
      const imports = found.map((target) =>
        target.startsWith(".") ? posix.normalize(posix.join(dirname(file), target)) : target,
      );
      return { file, text, imports };
    }),
);

function offences(files: RegExp, allowed: (target: string) => boolean): string[] {
  const concerned = sources.filter(({ file }) => files.test(file));
  assert.ok(concerned.length > 0, `no file is called ${files}`);
  return concerned.flatMap(({ file, imports }) =>
    imports.filter((target) => !allowed(target)).map((target) => `${file} imports ${target}`),
  );
}

describe("dependencies point inward", () => {
  test("the core knows the ports, the words and itself, and nothing else", () => {
    const words = /^src\/(core\/.+|ports|errors|events|secretValue)\.ts$/;
    assert.deepEqual(
      offences(/^src\/core\//, (target) => target.startsWith("node:") || words.test(target)),
      [],
    );
  });

  test("an adapter knows nobody who composes it", () => {
    const outer =
      /^(functions|src\/(cli|app|http|local|simulation))\/|^src\/(compose|rotator|functions|index)\.ts$/;
    const adapters =
      /^src\/(sources|formats|consumers|probes|checks|stores|leases|identity|oauth|telemetry|config)\//;
    assert.deepEqual(
      offences(adapters, (target) => !outer.test(target)),
      [],
    );
  });

  test("what is deployed knows nothing of the embedded Azure, the command line or the simulation", () => {
    const atHome = /^src\/(cli|local|simulation)\//;
    assert.deepEqual(
      offences(
        /^(functions\/|src\/(app|http)\/|src\/(compose|rotator|functions|index)\.ts)/,
        (target) => !atHome.test(target),
      ),
      [],
    );
  });
});

test("time enters through the clock alone", () => {
  const readers = sources
    .filter(({ file }) => file !== "src/clock.ts")
    // In comments and in text that is sent to a browser it is no code of ours.
    .filter(
      ({ file, text }) =>
        /^(?!\s*(\/\/|\/?\*)).*(\bDate\.now\(\)|\bnew Date\(\))/m.test(text) &&
        !/page\/script\.ts$/.test(file),
    );
  assert.deepEqual(
    readers.map(({ file }) => file),
    [],
  );
});

test("properties are tried in the same order every time", () => {
  const strays = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((name) => name.replaceAll("\\", "/"))
    .filter((name) => name.endsWith(".ts") && name !== "properties.ts")
    .filter((name) => /from "fast-check"/.test(readFileSync(join(root, "test", name), "utf8")))
    .filter((name) => name !== "house.test.ts");
  assert.deepEqual(strays, []);
});
