import assert from "node:assert/strict";
import { test } from "node:test";
import { serviceUnit } from "../../../src/delivery/files/serviceUnit.ts";

const service = {
  name: "lakebase",
  command: ["/usr/bin/node", "/opt/my tools/cli.js", "--exec", `echo "100%" $HOME \\ 'x' <&>`],
  environment: { PATH: "/usr/bin:/bin", KEY_VAULT_URL: "https://kv-example.vault.azure.net" },
};

/** Words of a command line as systemd reads them (systemd.service(5), "Command lines"). */
function systemdWords(line: string): string[] {
  return [...line.matchAll(/"((?:\\.|[^"\\])*)"/g)].map(([, quoted = ""]) =>
    quoted.replace(/\\(.)/g, "$1").replaceAll("%%", "%").replaceAll("$$", "$"),
  );
}

test("systemd gets every argument as it is", () => {
  const { unit, file, start } = serviceUnit("systemd", service);
  const line = /^ExecStart=(.*)$/m.exec(unit)?.[1] ?? "";
  assert.deepEqual(systemdWords(line), service.command);
  assert.doesNotMatch(
    line.replaceAll("%%", "").replaceAll("$$", ""),
    /[%$]/,
    "nothing is left for systemd to replace",
  );
  assert.match(unit, /^Environment="PATH=\/usr\/bin:\/bin"$/m);
  assert.match(unit, /^Restart=always$/m);
  assert.equal(file, "~/.config/systemd/user/token-rotator-lakebase.service");
  assert.ok(start.includes("systemctl --user enable --now token-rotator-lakebase.service"));
});

test("launchd gets every argument as it is", () => {
  const { unit, file } = serviceUnit("launchd", service);
  const [, list = ""] = /<key>ProgramArguments<\/key>\s*<array>([\s\S]*?)<\/array>/.exec(unit) ?? [];
  const entities: Record<string, string> = { amp: "&", lt: "<", gt: ">", quot: '"' };
  const words = [...list.matchAll(/<string>([^<]*)<\/string>/g)].map(([, text = ""]) =>
    text.replace(/&(\w+);/g, (whole, name: string) => entities[name] ?? whole),
  );
  assert.deepEqual(words, service.command);
  assert.match(unit, /<key>Umask<\/key>\s*<integer>63<\/integer>/);
  assert.equal(file, "~/Library/LaunchAgents/keyvault-token-rotator.lakebase.plist");
});
