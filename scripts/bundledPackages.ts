import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** A dependency of which something is in a bundle. */
export interface BundledPackage {
  readonly name: string;
  readonly version: string;
  /** SPDX expression. */
  readonly license: string;
  /** Empty where the package carries none. */
  readonly licenseText: string;
}

/** @param modules The files that are in the bundle, by their paths. */
export async function bundledPackages(modules: readonly string[]): Promise<BundledPackage[]> {
  const folders = new Set(modules.flatMap((file) => packageFolder.exec(file)?.[0] ?? []));
  return Promise.all([...folders].sort().map(readPackage));
}

/** The licences; most ask to be passed on with the code. */
export function thirdPartyNotices(packages: readonly BundledPackage[]): string {
  return packages
    .map(({ name, version, license, licenseText }) => `${name} ${version} (${license})\n\n${licenseText}\n`)
    .join(`\n${"-".repeat(80)}\n\n`);
}

const packageFolder = /^[^\0]*node_modules[\\/](?:@[^\\/]+[\\/])?[^\\/]+/;

async function readPackage(folder: string): Promise<BundledPackage> {
  const { name, version, license } = JSON.parse(await readFile(join(folder, "package.json"), "utf8"));
  const file = (await readdir(folder)).find((entry) => /^licen[cs]e/i.test(entry));
  const licenseText = file === undefined ? "" : (await readFile(join(folder, file), "utf8")).trim();
  return { name, version, license, licenseText };
}
