import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { test } from "node:test";

const root = new URL("../../", import.meta.url);
const { dependencies } = JSON.parse(readFileSync(new URL("package.json", root), "utf8"));

/** What the built command line and library import that is no file of theirs. */
function imported(): Set<string> {
  const files = [
    "dist/index.js",
    ...readdirSync(new URL("dist/cli/", root))
      .filter((name) => name.endsWith(".js"))
      .map((name) => `dist/cli/${name}`),
  ];
  return new Set(
    files.flatMap((file) =>
      [
        ...readFileSync(new URL(file, root), "utf8").matchAll(
          /^(?:import|export)\b[^"'`\n]*["'`]([^."'`/][^"'`\n]*)["'`]|\bimport\(["'`]([^."'`/][^"'`\n]*)["'`]\)/gm,
        ),
      ].map(([, statically, dynamically]) => statically ?? dynamically ?? ""),
    ),
  );
}

test("what is published imports its dependencies, all of them declared, and Node.js' own modules", () => {
  const names = [...imported()].filter((name) => !isBuiltin(name));
  const packages = names.map((name) => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name);
  // The sample's module names the library itself.
  const undeclared = packages.filter((name) => !(name in dependencies) && name !== "keyvault-token-rotator");
  assert.deepEqual(undeclared, []);
  assert.ok(packages.includes("@azure/identity") && packages.includes("commander"), packages.join(", "));
});
