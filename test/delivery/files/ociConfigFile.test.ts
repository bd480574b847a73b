import assert from "node:assert/strict";
import { describe, test } from "node:test";
import ini from "ini";
import { mergeProfile } from "../../../src/delivery/files/ociConfigFile.ts";
import { fc } from "../../properties.ts";

const settings = { key_file: "/s/key", region: "eu-frankfurt-1", security_token_file: "/s/token" };
const own = "key_file=/s/key\nregion=eu-frankfurt-1\nsecurity_token_file=/s/token\n";

function merged(existing: string | undefined, profile = "MINE"): string {
  const file = existing === undefined ? undefined : Buffer.from(existing, "latin1");
  return mergeProfile(file, profile, settings).toString("latin1");
}

describe("where our profile goes", () => {
  for (const [name, existing, expected] of [
    ["no file", undefined, `[MINE]\n${own}`],
    ["after the others", "[DEFAULT]\nuser=ocid1\n", `[DEFAULT]\nuser=ocid1\n\n[MINE]\n${own}`],
    ["after a line without an end", "[DEFAULT]\nuser=ocid1", `[DEFAULT]\nuser=ocid1\n\n[MINE]\n${own}`],
    [
      "with the file's line ends",
      "[A]\r\nb=c\r\n",
      `[A]\r\nb=c\r\n\r\n[MINE]\r\n${own.replaceAll("\n", "\r\n")}`,
    ],
    [
      "key by key, with the user's own between",
      "[MINE]\n# mine\nregion = us-ashburn-1\nlog_requests=true\nsecurity_token_file=/old\n\n[B]\nc=d\n",
      "[MINE]\n# mine\nregion=eu-frankfurt-1\nlog_requests=true\nsecurity_token_file=/s/token\nkey_file=/s/key\n\n[B]\nc=d\n",
    ],
    [
      "whatever the case of the keys",
      "[MINE]\nSecurity_Token_File=/old\nKEY_FILE=/old\nRegion=x\n",
      "[MINE]\nsecurity_token_file=/s/token\nkey_file=/s/key\nregion=eu-frankfurt-1\n",
    ],
    ["into an empty profile", "[MINE]\n[B]\nc=d\n", `[MINE]\n${own}[B]\nc=d\n`],
    [
      "as deep as the keys beside it",
      "[MINE]\n  security_token_file=/old\n  user=u\n",
      "[MINE]\n  security_token_file=/s/token\n  user=u\n  key_file=/s/key\n  region=eu-frankfurt-1\n",
    ],
    [
      "with what went on over several lines replaced as a whole",
      "[MINE]\nsecurity_token_file=/old\n  more\nuser=u\n",
      "[MINE]\nsecurity_token_file=/s/token\nuser=u\nkey_file=/s/key\nregion=eu-frankfurt-1\n",
    ],
    [
      "not into another's value that looks like a profile",
      "[A]\nb=c\n  [MINE]\n",
      `[A]\nb=c\n  [MINE]\n\n[MINE]\n${own}`,
    ],
    ["without touching bytes that are no UTF-8", "[A]\nb=\xff\xfe\n", `[A]\nb=\xff\xfe\n\n[MINE]\n${own}`],
  ] as const) {
    test(name, () => {
      assert.equal(merged(existing), expected);
      assert.equal(merged(expected), expected, "a second time changes nothing");
    });
  }
});

test("a profile with an API key of its own is not taken over", () => {
  const existing = "[MINE]\nuser=ocid1.user.oc1..example\nkey_file=~/.oci/oci_api_key.pem\n";
  assert.throws(() => merged(existing), { code: "ProfileNotOurs" });
  assert.doesNotThrow(() => merged(existing, "OTHER"));
});

test("a value of several lines is refused: it would be read as a profile", () => {
  assert.throws(() => mergeProfile(undefined, "MINE", { key_file: "/s\n[DEFAULT]" }), {
    code: "ContentUnfit",
  });
});

const line = fc.oneof(
  fc.constantFrom(
    "[DEFAULT]",
    "[MINE]",
    "[B]",
    "user=u",
    "region = x",
    "security_token_file=/old",
    "a: b",
    "# c",
    "; d",
    "",
  ),
  fc.uint8Array({ maxLength: 10 }).map((bytes) =>
    Buffer.from(bytes)
      .toString("latin1")
      .replace(/^\s+|[\r\n]/g, ""),
  ),
);
const file = fc
  .array(fc.tuple(line, fc.constantFrom("\n", "\r\n")), { maxLength: 14 })
  .chain((lines) => fc.constantFrom(lines.flat().join(""), lines.flat().join("").trimEnd()));

test("whatever the file: lines that are not ours stay in their order, and twice is once", () => {
  fc.assert(
    fc.property(file, (existing) => {
      const once = merged(existing);
      assert.equal(merged(once), once);
      const others = (text: string) =>
        text
          .split(/\r\n|\n|\r/)
          .filter((each) => each !== "" && !/^\s*(?:key_file|region|security_token_file)\s*[=:]/i.test(each));
      const added = existing.split(/\r\n|\n|\r/).includes("[MINE]") ? [] : ["[MINE]"];
      assert.deepEqual(others(once), [...others(existing), ...added]);
    }),
    { numRuns: 2_000 },
  );
});

const section = fc.record({
  name: fc.constantFrom("DEFAULT", "A", "B"),
  keys: fc.dictionary(fc.constantFrom("user", "region", "key_file"), fc.constantFrom("x", "y/z", "1:2")),
});

test("an INI parser reads our profile, and everybody else's as before", () => {
  fc.assert(
    fc.property(fc.uniqueArray(section, { selector: ({ name }) => name }), (sections) => {
      const existing = sections
        .map(
          ({ name, keys }) =>
            `[${name}]\n${Object.entries(keys)
              .map(([key, value]) => `${key}=${value}\n`)
              .join("")}`,
        )
        .join("\n");
      const before = structuredClone(ini.parse(existing));
      assert.deepEqual(structuredClone(ini.parse(merged(existing))), { ...before, MINE: settings });
    }),
  );
});

test("10 MB of other people's profiles, with bytes that are no text and no last line break, are no matter", () => {
  const other = "[OTHER-\xff]\r\nregion=eu\r\n  \xc3\x28 goes on\r\nkey_file=~/k\r\n\r\n";
  const before = other.repeat(Math.ceil(10_000_000 / other.length)).trimEnd();
  const existing = Buffer.from(before, "latin1");
  const startedAt = process.cpuUsage().user;
  const text = mergeProfile(existing, "MINE", { region: "us" }).toString("latin1");
  assert.ok(process.cpuUsage().user - startedAt < 5_000_000);
  assert.equal(text, `${before}\r\n\r\n[MINE]\r\nregion=us\r\n`);
});
