/*
 * Builds `dist`: `node scripts/build.ts` everything, `node scripts/build.ts functions` only what is deployed.
 *
 *   dist/functions/*.js     one entry per Azure Function and, in `chunks`, what they share or load later. Bundled with
 *                           every dependency: the package that is deployed has no node_modules.
 *   dist/cli, dist/index.js the command line and the library, which find their dependencies in node_modules.
 *   dist/types              the declarations of the library.
 */
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { type BuildOptions, build } from "esbuild";
import { type BundledPackage, bundledPackages, thirdPartyNotices } from "./bundledPackages.ts";
import { hideFormData, requireHttp } from "./coldStart.ts";
import { leanTelemetry } from "./leanTelemetry.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
const functionsDirectory = join(root, "dist/functions");

const common = {
  absWorkingDir: root,
  bundle: true,
  splitting: true,
  format: "esm",
  platform: "node",
  target: "node22",
  sourcemap: true,
  // A stack trace needs the positions, not the text of every dependency.
  sourcesContent: false,
  logLevel: "warning",
} as const satisfies BuildOptions;

/**
 * Bundles the functions into `directory`, where nothing else stays. Equal sources give equal files.
 * @returns the dependencies that are in the bundle
 */
export async function buildFunctions(directory = functionsDirectory): Promise<BundledPackage[]> {
  const entries = (await readdir(join(root, "functions"))).filter((file) => file.endsWith(".ts"));
  const { outputFiles, metafile } = await build({
    ...common,
    entryPoints: entries.map((file) => `functions/${file}`),
    // Whatever `directory` is: source maps tell where the sources are from here.
    outdir: functionsDirectory,
    write: false,
    metafile: true,
    // Beside the entries they would match `main` of the package, and the worker would load every one of them at start.
    chunkNames: "chunks/[name]-[hash]",
    // Identifiers stay as they are: a stack trace is read by them.
    minifySyntax: true,
    minifyWhitespace: true,
    // The worker supplies the first; `pg` uses the second only where somebody has installed it.
    external: ["@azure/functions-core", "pg-native"],
    plugins: [requireHttp, hideFormData, leanTelemetry],
    banner: { js: functionsBanner },
  });
  await rm(directory, { recursive: true, force: true });
  for (const { path, contents } of outputFiles) {
    const target = join(directory, relative(functionsDirectory, path));
    await mkdir(dirname(target), { recursive: true });
    await writeFile(target, contents);
  }
  const packages = await bundledPackages(root, metafile);
  await writeFile(join(directory, "THIRD-PARTY-NOTICES.txt"), thirdPartyNotices(packages));
  return packages;
}

/**
 * CommonJS dependencies call `require`, which a module does not have. And what is loaded later is compiled once per
 * machine, not once per process: the cache is in the temporary folder, or where `NODE_COMPILE_CACHE` says.
 */
const functionsBanner = [
  'import{createRequire as $require,enableCompileCache as $cache}from"node:module";',
  "const require=$require(import.meta.url);$cache();",
].join("");

/** Builds the command line and the library. */
export async function buildPackage(): Promise<void> {
  for (const name of ["cli", "types", "index.js", "index.js.map"]) {
    await rm(join(root, "dist", name), { recursive: true, force: true });
  }
  await build({
    ...common,
    entryPoints: {
      index: "src/index.ts",
      "cli/token-rotator": "src/cli/main.ts",
      // The functions host looks for it beside its own file, which the command line puts into `cli`.
      "cli/functionsHostChild": "src/local/functionsHost/functionsHostChild.ts",
    },
    outdir: "dist",
    chunkNames: "cli/[name]-[hash]",
    packages: "external",
  });
  await chmod(join(root, "dist/cli/token-rotator.js"), 0o755);
  const compiler = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [compiler, "-p", "tsconfig.build.json"], {
    cwd: root,
    stdio: "inherit",
  });
  if (status !== 0) {
    throw new Error("The declarations of the library could not be made.");
  }
}

if (import.meta.main) {
  await buildFunctions();
  if (process.argv[2] !== "functions") {
    await buildPackage();
  }
}
