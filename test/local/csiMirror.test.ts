import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { objectsParameter, type ProviderObject } from "../../src/delivery/kubernetes/providerObjects.ts";
import { RotatorError } from "../../src/errors.ts";
import { CsiMirror } from "../../src/local/csiMirror.ts";
import { SecretValue } from "../../src/secretValue.ts";
import { epoch, vault } from "../builders.ts";
import { MemoryStore } from "../fakes/memoryStore.ts";

const context = { signal: new AbortController().signal, giveUpAt: epoch };

let directory: string;
let store: MemoryStore;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "mount-"));
  store = new MemoryStore(vault, { now: () => epoch, sleep: async () => {} });
});
afterEach(() => rm(directory, { recursive: true }));

function mirror(objects: readonly ProviderObject[], parameters: object = {}): CsiMirror {
  return new CsiMirror({
    directory: join(directory, "mount"),
    storeOf: (name) => {
      assert.equal(name, "kv-test");
      return store;
    },
    providerClass: {
      apiVersion: "secrets-store.csi.x-k8s.io/v1",
      kind: "SecretProviderClass",
      metadata: { name: "app" },
      spec: {
        parameters: {
          keyvaultName: "kv-test",
          tenantID: "t",
          objects: objectsParameter(objects),
          ...parameters,
        },
      },
    },
  });
}

function seed(name: string, text: string, enabled = true): void {
  store.seed(name, { value: new SecretValue(text), properties: { enabled, expiresOn: new Date(epoch - 1) } });
}

function read(name: string): Promise<string> {
  return readFile(join(directory, "mount", name), "utf8");
}

describe("a class is mounted as the driver does it", () => {
  const objects = [
    { objectName: "one", objectAlias: "token" },
    { objectName: "two", filePermission: "0600" },
  ];

  test("every object under its alias or name, with its mode, expired or not", async () => {
    seed("one", "1");
    seed("two", "2");
    assert.equal(await mirror(objects).mount(context), true);
    assert.deepEqual([await read("token"), await read("two")], ["1", "2"]);
    const modes = await Promise.all(
      ["token", "two"].map(async (name) => (await stat(join(directory, "mount", name))).mode & 0o777),
    );
    assert.deepEqual(modes, [0o644, 0o600]);
    assert.equal(await mirror(objects).mount(context), false, "nothing has changed");
    seed("one", "1b");
    assert.equal(await mirror(objects).mount(context), true);
    assert.deepEqual([await read("token"), await read("two")], ["1b", "2"]);
  });

  test("all or nothing: one object that is missing or disabled leaves the files as they were", async () => {
    seed("one", "1");
    await assert.rejects(mirror(objects).mount(context), {
      code: "MountFailed",
      facts: { vault, secret: "two" },
    });
    assert.deepEqual(await readdir(directory), [], "a new pod waits");

    seed("two", "2");
    await mirror(objects).mount(context);
    seed("one", "1b");
    store.fail = (call) =>
      call === "read:two"
        ? new RotatorError({ code: "SecretDisabled", message: "No.", remedy: "Enable it.", retryable: false })
        : undefined;
    await assert.rejects(mirror(objects).mount(context), { code: "SecretDisabled" });
    assert.deepEqual([await read("token"), await read("two")], ["1", "2"], "a running pod keeps both");
  });

  test("a class that the provider refuses is refused", async () => {
    seed("one", "1");
    await assert.rejects(mirror([{ objectName: "one", objectAlias: "../x" }]).mount(context), {
      code: "ProviderFileNameRefused",
    });
    await assert.rejects(mirror(objects, { tenantID: "" }).mount(context), {
      code: "ProviderObjectsMalformed",
    });
    assert.deepEqual(await readdir(directory), []);
  });
});
