import assert from "node:assert/strict";
import { test } from "node:test";
import { openLiveText } from "../../src/cli/liveText.ts";

test("one text follows the other where nobody looks at a terminal", async () => {
  const written: string[] = [];
  const write = (text: string) => void written.push(text);
  {
    using live = await openLiveText({ write, isTerminal: false, hasColours: false, columns: 80 });
    live.show("one\n");
    live.show("two\n");
  }
  assert.deepEqual(written, ["one\n", "two\n"]);
});
