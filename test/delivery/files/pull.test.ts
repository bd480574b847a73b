import assert from "node:assert/strict";
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync } from "node:crypto";
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { before, describe, test } from "node:test";
import ini from "ini";
import { parseConfiguration } from "../../../src/config/parse.ts";
import { tagNames } from "../../../src/core/tags.ts";
import { type PulledFile, pullFiles } from "../../../src/delivery/files/pull.ts";
import { readerEnvironment } from "../../../src/delivery/files/readerEnvironment.ts";
import { type PullTarget, targetsOf } from "../../../src/delivery/files/targets.ts";
import { RotatorError } from "../../../src/errors.ts";
import { SecretValue } from "../../../src/secretValue.ts";
import { epoch, hours, minutes, vault } from "../../builders.ts";
import { MemoryStore } from "../../fakes/memoryStore.ts";
import { quickFileSystem, temporaryDirectory } from "./scene.ts";

let pem: string;
let otherPem: string;
before(() => {
  [pem = "", otherPem = ""] = [1, 2].map(() =>
    generateKeyPairSync("rsa", { modulusLength: 2048 })
      .privateKey.export({ type: "pkcs8", format: "pem" })
      .toString(),
  );
});

/** A host with a home of its own, a vault in memory, and one rotation whose files are the given ones. */
class Host {
  readonly home: string;
  readonly store = new MemoryStore(vault, { now: () => epoch, sleep: async () => {} });
  readonly slept: number[] = [];
  readonly #secrets: readonly string[];

  constructor(home: string, secrets: readonly string[]) {
    this.home = home;
    this.#secrets = secrets;
  }

  seed(
    secret: string,
    text: string,
    overrides: { expiresOn?: Date; token?: string; issued?: Date } = {},
  ): void {
    const { expiresOn = new Date(epoch + hours), token = "mint-1", issued = new Date(epoch) } = overrides;
    const tags = { [tagNames.token]: token, [tagNames.issued]: issued.toISOString() };
    this.store.seed(secret, { value: new SecretValue(text), properties: { expiresOn, tags } });
  }

  async pull(files: readonly object[], now = epoch): Promise<PulledFile[]> {
    const outputs = this.#secrets.map((secret) => ({ secret }));
    const document = {
      vault,
      rotations: { app: { source: { kind: "entra", scope: "api://app/.default" }, outputs, files } },
    };
    const file = join(this.home, "project", "rotations.json");
    const configuration = parseConfiguration(JSON.stringify(document), { file, environment: {} });
    assert.deepEqual(configuration.problems, []);
    const { targets } = targetsOf(configuration, [], this.home);
    const clock = { now: () => now, sleep: async (ms: number) => void this.slept.push(ms) };
    const environment = { storeOf: () => this.store, fs: quickFileSystem(), clock };
    const context = { signal: new AbortController().signal, giveUpAt: now };
    return await pullFiles(targets, environment, context);
  }

  read(path: string): Promise<string> {
    return readFile(join(this.home, path), "utf8");
  }
}

async function aHost(...secrets: string[]): Promise<{ host: Host } & AsyncDisposable> {
  const directory = await temporaryDirectory();
  return {
    host: new Host(directory.path, secrets),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  };
}

describe("each kind of file", () => {
  test("file: exactly what the secret holds, relative to the configuration, in the mode that is asked for", async () => {
    await using scene = await aHost("token");
    const { host } = scene;
    host.seed("token", "eyJ.a.b");
    const [pulled] = await host.pull([{ kind: "file", output: "token", path: "run/token", mode: "0640" }]);
    assert.equal(pulled?.changed, true);
    assert.equal(pulled?.target.path, join(host.home, "project", "run", "token"));
    assert.deepEqual(pulled?.expiresOn, new Date(epoch + hours));
    assert.equal(await host.read("project/run/token"), "eyJ.a.b");
    assert.equal((await stat(join(host.home, "project/run/token"))).mode & 0o777, 0o640);
    const [again] = await host.pull([{ kind: "file", output: "token", path: "run/token", mode: "0640" }]);
    assert.equal(again?.changed, false);
  });

  test("pgpass: among the user's own lines, and 0600 whatever it was", async () => {
    await using scene = await aHost("pgpass");
    const { host } = scene;
    await writeFile(join(host.home, ".pgpass"), "# mine\nh:1:d:u:p\n", { mode: 0o644 });
    host.seed("pgpass", "db:5432:*:svc:token\n");
    const [pulled] = await host.pull([{ kind: "pgpass", output: "pgpass" }]);
    assert.equal(pulled?.error, undefined);
    assert.equal(await host.read(".pgpass"), "# mine\nh:1:d:u:p\ndb:5432:*:svc:token\n");
    assert.equal((await stat(join(host.home, ".pgpass"))).mode & 0o777, 0o600);
  });

  test("dotenv: among the user's own variables", async () => {
    await using scene = await aHost("env");
    const { host } = scene;
    await writeFile(join(host.home, ".env"), "OWN=1\n");
    host.seed("env", "PGPASSWORD=token\n");
    await host.pull([{ kind: "dotenv", output: "env", path: "~/.env" }]);
    assert.equal(await host.read(".env"), "OWN=1\nPGPASSWORD=token\n");
  });

  test("two outputs into one file lose nothing to each other", async () => {
    await using scene = await aHost("one", "two");
    const { host } = scene;
    host.seed("one", "a:5432:*:svc:1\n");
    host.seed("two", "b:5432:*:svc:2\n");
    await host.pull(["one", "two"].map((output) => ({ kind: "pgpass", output })));
    assert.equal(await host.read(".pgpass"), "a:5432:*:svc:1\nb:5432:*:svc:2\n");
  });
});

describe("an OCI session", () => {
  const session = {
    kind: "oci-session",
    profile: "MINE",
    region: "eu-frankfurt-1",
    tenancy: "ocid1.tenancy.oc1..a",
  };

  for (const [name, secrets, fields] of [
    ["from two outputs", ["oci-token", "oci-key"], { token: "oci-token", key: "oci-key" }],
    ["from a bundle", ["oci-bundle"], { bundle: "oci-bundle" }],
  ] as const) {
    test(`${name}: token, keys and profile, which the user's profiles are left beside`, async () => {
      await using scene = await aHost(...secrets);
      const { host } = scene;
      host.seed("oci-token", "eyJ.a.b");
      host.seed("oci-key", pem);
      host.seed("oci-bundle", JSON.stringify({ token: "eyJ.a.b", privateKey: pem, fingerprint: "x" }));
      const [pulled] = await host.pull([{ ...session, ...fields }]);
      assert.equal(pulled?.error, undefined);
      assert.equal(pulled?.target.path, join(host.home, ".oci/sessions/MINE"));
      assert.equal(await host.read(".oci/sessions/MINE/token"), "eyJ.a.b", "without a line break");
      assert.equal(await host.read(".oci/sessions/MINE/oci_api_key.pem"), pem);
      const publicKey = createPublicKey(await host.read(".oci/sessions/MINE/oci_api_key_public.pem"));
      assert.ok(publicKey.equals(createPublicKey(createPrivateKey(pem))));

      const profile = ini.parse(await host.read(".oci/config")).MINE;
      const digest = createHash("md5")
        .update(publicKey.export({ type: "spki", format: "der" }))
        .digest("hex");
      assert.deepEqual(
        { ...profile },
        {
          fingerprint: digest.match(/../g)?.join(":"),
          key_file: join(host.home, ".oci/sessions/MINE/oci_api_key.pem"),
          tenancy: "ocid1.tenancy.oc1..a",
          region: "eu-frankfurt-1",
          security_token_file: join(host.home, ".oci/sessions/MINE/token"),
        },
      );
      assert.equal((await stat(join(host.home, ".oci/config"))).mode & 0o777, 0o600);
      assert.equal((await stat(join(host.home, ".oci"))).mode & 0o777, 0o700);
      const [again] = await host.pull([{ ...session, ...fields }]);
      assert.equal(again?.changed, false);
      assert.deepEqual(readerEnvironment([again?.target as PullTarget]), {
        OCI_CLI_CONFIG_FILE: join(host.home, ".oci/config"),
        OCI_CLI_PROFILE: "MINE",
        OCI_CLI_AUTH: "security_token",
      });
    });
  }

  test("token and key of different mints are read again, and never written", async () => {
    await using scene = await aHost("oci-token", "oci-key");
    const { host } = scene;
    const files = [{ ...session, token: "oci-token", key: "oci-key" }];
    host.seed("oci-token", "eyJ.a.b");
    host.seed("oci-key", pem);
    await host.pull(files);

    host.seed("oci-token", "eyJ.c.d", { token: "mint-2" });
    const [torn] = await host.pull(files);
    assert.equal(torn?.error?.code, "OutputsDiverged");
    assert.equal(host.slept.length, 2);
    assert.equal(await host.read(".oci/sessions/MINE/token"), "eyJ.a.b");

    // The rotator's second write comes between two reads.
    host.store.fail = (call) => {
      if (call === "read:oci-key" && host.slept.length === 3) {
        host.store.fail = () => undefined;
        host.seed("oci-key", otherPem, { token: "mint-2" });
      }
      return undefined;
    };
    const [whole] = await host.pull(files);
    assert.equal(whole?.error, undefined);
    assert.equal(await host.read(".oci/sessions/MINE/token"), "eyJ.c.d");
    assert.equal(await host.read(".oci/sessions/MINE/oci_api_key.pem"), otherPem);
  });

  for (const [name, token, key] of [
    ["a token with a line break", "eyJ.a.b\n", () => pem],
    ["a key that is none", "eyJ.a.b", () => "canary-key"],
    [
      "a locked key",
      "eyJ.a.b",
      () =>
        createPrivateKey(pem)
          .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "canary-key" })
          .toString(),
    ],
  ] as const) {
    test(`${name} is refused, and nothing of it is in the error`, async () => {
      await using scene = await aHost("oci-token", "oci-key");
      const { host } = scene;
      host.seed("oci-token", token);
      host.seed("oci-key", key());
      const [pulled] = await host.pull([{ ...session, token: "oci-token", key: "oci-key" }]);
      assert.equal(pulled?.error?.code, "ContentUnfit");
      assert.doesNotMatch(
        JSON.stringify([pulled?.error, pulled?.error?.cause, pulled?.error?.stack]),
        /canary|eyJ/,
      );
      assert.deepEqual(await readdir(host.home), []);
    });
  }

  test("a bundle that is none is refused, and nothing of it is in the error", async () => {
    await using scene = await aHost("oci-bundle");
    const { host } = scene;
    for (const text of ["canary", "null", '{"token":"canary"}', "[]"]) {
      host.seed("oci-bundle", text);
      const [pulled] = await host.pull([{ ...session, bundle: "oci-bundle" }]);
      assert.equal(pulled?.error?.code, "ContentUnfit");
      assert.doesNotMatch(
        JSON.stringify([pulled?.error, pulled?.error?.cause, pulled?.error?.stack]),
        /canary/,
      );
    }
  });
});

describe("the last good file stays", () => {
  const files = [{ kind: "file", output: "token", path: "~/token" }];

  test("when the vault has nothing, something expired, something disabled, or no answer", async () => {
    await using scene = await aHost("token");
    const { host } = scene;
    const [missing] = await host.pull(files);
    assert.equal(missing?.error?.code, "OutputMissing");
    assert.deepEqual(await readdir(host.home), []);

    host.seed("token", "good");
    await host.pull(files);
    host.seed("token", "old", { expiresOn: new Date(epoch - minutes) });
    const [expired] = await host.pull(files);
    assert.equal(expired?.error?.code, "OutputExpired");
    assert.equal(expired?.changed, false);

    host.store.fail = () =>
      new RotatorError({ code: "VaultUnreachable", message: "No.", remedy: "Wait.", retryable: true });
    const [unreachable] = await host.pull(files);
    assert.equal(unreachable?.error?.code, "VaultUnreachable");
    assert.equal(await host.read("token"), "good");
  });

  test("and one failure stops no other file", async () => {
    await using scene = await aHost("token", "other");
    const { host } = scene;
    host.seed("other", "good");
    const pulled = await host.pull([...files, { kind: "file", output: "other", path: "~/other" }]);
    assert.deepEqual(
      pulled.map(({ error }) => error?.code),
      ["OutputMissing", undefined],
    );
    assert.equal(await host.read("other"), "good");
  });
});
