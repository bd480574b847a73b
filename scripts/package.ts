/*
 * Makes what is deployed: `node scripts/package.ts [rotations.json]` builds the functions and leaves in `build`
 *
 *   app/       the folder, complete: no node_modules and nothing to install; with the configuration, and what checking it
 *              came to
 *   app.zip    the same, byte for byte equal for equal contents
 *   sbom.json  the bill of materials (CycloneDX): the dependencies of which something is in the bundle
 */
import { execFileSync } from "node:child_process";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type Zippable, zipSync } from "fflate";
import { writeChecked } from "../src/config/checked.ts";
import { parseConfiguration } from "../src/config/parse.ts";
import { asRotatorError } from "../src/errors.ts";
import { buildFunctions } from "./build.ts";
import type { BundledPackage } from "./bundledPackages.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Package {
  /** The folder that a functions host runs. */
  readonly folder: string;
  readonly zip: string;
  /** Of each file in the folder, by its path with forward slashes. */
  readonly bytes: ReadonlyMap<string, number>;
  readonly zipBytes: number;
  readonly packages: readonly BundledPackage[];
}

/** Makes `app` and `app.zip` in `directory`, with `rotationsFile` as its `rotations.json`. */
export async function packageApp(directory: string, rotationsFile?: string): Promise<Package> {
  const folder = join(directory, "app");
  await rm(folder, { recursive: true, force: true });
  await mkdir(folder, { recursive: true });
  const packages = await buildFunctions(join(folder, "dist/functions"));
  await copyFile(join(root, "host.json"), join(folder, "host.json"));
  await writeFile(join(folder, "package.json"), `${JSON.stringify(await manifest(), undefined, 2)}\n`);
  if (rotationsFile !== undefined) {
    await packageConfiguration(rotationsFile, folder);
  }

  const zip = join(directory, "app.zip");
  return { folder, zip, packages, ...(await zipFolder(folder, zip)) };
}

/** Equal contents give equal bytes, whenever and wherever they were written. */
export async function zipFolder(folder: string, zip: string): Promise<Pick<Package, "bytes" | "zipBytes">> {
  const zippable: Zippable = {};
  const bytes = new Map<string, number>();
  for (const file of await filesOf(folder)) {
    const content = await readFile(join(folder, file));
    bytes.set(file, content.length);
    zippable[file] = content;
  }
  // The zip format keeps local time: this is its earliest day wherever it is made.
  const content = zipSync(zippable, { level: 9, mtime: new Date(1980, 0, 1) });
  await writeFile(zip, content);
  return { bytes, zipBytes: content.length };
}

/** The configuration with its modules, and the copy of it that spares the app from checking it again. */
async function packageConfiguration(rotationsFile: string, folder: string): Promise<void> {
  const text = await readFile(rotationsFile, "utf8");
  const file = join(folder, "rotations.json");
  await writeFile(file, text);
  for (const path of modulePaths(JSON.parse(text))) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await copyFile(join(dirname(rotationsFile), path), join(folder, path));
  }
  try {
    const configuration = parseConfiguration(text, { file, environment: process.env });
    await writeChecked(file, text, configuration, process.env);
  } catch (error) {
    // Such as one that leaves the vault to the app's settings. The app checks it, and says what is wrong.
    const { summary } = asRotatorError(error, "configure");
    console.warn(`The configuration is not checked beforehand: ${summary}`);
  }
}

/** The modules that sources of kind `module` name, wherever in the configuration such a source stands. */
function modulePaths(value: unknown): string[] {
  if (typeof value !== "object" || value === null) {
    return [];
  }
  const { kind, path } = value as { kind?: unknown; path?: unknown };
  const own = kind === "module" && typeof path === "string" ? [path] : [];
  return [...own, ...Object.values(value).flatMap(modulePaths)];
}

async function manifest(): Promise<object> {
  const { name, version } = JSON.parse(await readFile(join(root, "package.json"), "utf8"));
  return { name, version, private: true, type: "module", main: "dist/functions/app.js" };
}

async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).replaceAll("\\", "/"))
    .sort();
}

/**
 * The part of npm's bill of materials that is in the bundle. npm's own `--omit dev` also leaves out packages that a
 * development tool shares with us.
 */
async function writeBillOfMaterials(file: string, packages: readonly BundledPackage[]): Promise<void> {
  const npm = execFileSync("npm", ["sbom", "--package-lock-only", "--sbom-format", "cyclonedx"], {
    cwd: root,
    shell: process.platform === "win32",
    maxBuffer: 2 ** 26,
  });
  const all: BillOfMaterials = JSON.parse(npm.toString());
  const product = all.metadata.component["bom-ref"];
  const kept = new Set([product, ...packages.map(({ name, version }) => `${name}@${version}`)]);
  const components = all.components.filter((component) => kept.has(component["bom-ref"]));
  if (components.length !== kept.size - 1) {
    throw new Error("The bundle holds packages that the lock file does not have. Run npm ci.");
  }
  const dependencies = all.dependencies
    .filter(({ ref }) => kept.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((other) => kept.has(other)) }));
  // npm calls the product by the name of its folder.
  const component = { ...all.metadata.component, name: product.replace(/@[^@]*$/, "") };
  const metadata = { ...all.metadata, component };
  await writeFile(file, `${JSON.stringify({ ...all, metadata, components, dependencies }, undefined, 2)}\n`);
}

interface Component {
  readonly "bom-ref": string;
}

interface BillOfMaterials {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

if (import.meta.main) {
  const directory = join(root, "build");
  const { folder, zip, bytes, zipBytes, packages } = await packageApp(directory, process.argv[2]);
  const billOfMaterials = join(directory, "sbom.json");
  await writeBillOfMaterials(billOfMaterials, packages);
  for (const [file, size] of bytes) {
    console.log(`${String(size).padStart(10)}  ${file}`);
  }
  const total = [...bytes.values()].reduce((sum, size) => sum + size, 0);
  for (const [path, size] of [
    [folder, total],
    [zip, zipBytes],
    [billOfMaterials, undefined],
  ] as const) {
    console.log(`${String(size ?? "").padStart(10)}  ${relative(process.cwd(), path)}`);
  }
}
