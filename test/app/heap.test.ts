import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";

/** By how much the young generation grows in a process of its own that keeps some 50 MB. In MiB. */
function growth(before: string): number {
  const module = new URL("../../src/app/heap.ts", import.meta.url);
  const script = `
    import { getHeapSpaceStatistics } from "node:v8";
    import { keepHeapSmall } from ${JSON.stringify(module.href)};
    const size = () => getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").space_size;
    ${before}
    const begun = size();
    const kept = Array.from({ length: 1_000_000 }, (_, index) => ({ index, text: String(index) }));
    console.log((size() - begun) / 2 ** 20, kept.length);
  `;
  return Number.parseFloat(
    execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" }),
  );
}

test("the young generation stays as large as it is where the configuration is long", () => {
  assert.ok(growth("keepHeapSmall(99_999);") >= 8);
  assert.ok(growth("keepHeapSmall(100_000);") <= 1);
});
