import assert from "node:assert/strict";
import {
  chmod,
  lstat,
  lutimes,
  mkdir,
  readdir,
  readFile,
  readlink,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { FileSystem } from "../../../src/delivery/files/fileSystem.ts";
import { replaceTogether } from "../../../src/delivery/files/replaceTogether.ts";
import { fatedFileSystem, quickFileSystem, temporaryDirectory } from "./scene.ts";

const machine = quickFileSystem();

function put(
  directory: string,
  files: Readonly<Record<string, string>>,
  fs: FileSystem = machine,
): Promise<boolean> {
  const set = Object.entries(files).map(([name, text]) => ({
    name,
    content: Buffer.from(text),
    mode: 0o600,
  }));
  return replaceTogether(directory, set, fs);
}

/** What a reader finds under the names. */
async function seen(
  directory: string,
  names: readonly string[] = ["token", "key"],
): Promise<(string | undefined)[]> {
  return await Promise.all(
    names.map((name) => readFile(join(directory, name), "utf8").catch(() => undefined)),
  );
}

async function aSession(files?: Readonly<Record<string, string>>) {
  const directory = await temporaryDirectory();
  const parent = join(directory.path, "sessions");
  const session = join(parent, "MINE");
  if (files !== undefined) {
    await put(session, files);
  }
  return { parent, session, [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose]() };
}

describe("files that belong together", () => {
  test("are plain files in a plain directory, for this user alone", async () => {
    await using scene = await aSession();
    const { parent, session } = scene;
    assert.equal(await put(session, { token: "t1", key: "k1" }), true);
    assert.deepEqual(await seen(session), ["t1", "k1"]);
    assert.ok((await lstat(session)).isDirectory());
    assert.equal((await stat(session)).mode & 0o777, 0o700);
    // The OCI CLI looks at the file itself: a link would be one that everybody may read.
    assert.equal((await lstat(join(session, "token"))).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(parent), ["MINE"]);
    assert.equal(await put(session, { token: "t1", key: "k1" }), false);
  });

  test("one that changes is replaced where it is", async () => {
    await using scene = await aSession({ token: "t1", key: "k1" });
    const { parent, session } = scene;
    const { ino } = await stat(join(session, "key"));
    assert.equal(await put(session, { token: "t2", key: "k1" }), true);
    assert.deepEqual(await seen(session), ["t2", "k1"]);
    assert.equal((await stat(join(session, "key"))).ino, ino);
    assert.deepEqual(await readdir(parent), ["MINE"]);
  });

  test("several that change are switched together, and the old ones are gone", async () => {
    await using scene = await aSession({ token: "t1", key: "k1" });
    const { parent, session } = scene;
    for (const [token, key] of [
      ["t2", "k2"],
      ["t3", "k3"],
    ] as const) {
      assert.equal(await put(session, { token, key }), true);
      assert.deepEqual(await seen(session), [token, key]);
      assert.ok((await lstat(join(session, "token"))).isFile());
      assert.deepEqual((await readdir(parent)).toSorted(), [await readlink(session), "MINE"].toSorted());
      assert.equal(await put(session, { token, key }), false);
    }
    assert.equal(await put(session, { token: "t4", key: "k3" }), true, "one is replaced behind the link too");
    assert.deepEqual(await seen(session), ["t4", "k3"]);
    assert.equal((await readdir(parent)).length, 2);
  });

  test("other files in the directory stay, whatever becomes of it", async () => {
    await using scene = await aSession({ token: "t1", key: "k1" });
    const { session } = scene;
    await writeFile(join(session, "notes"), "mine");
    for (const round of ["2", "3"]) {
      await put(session, { token: `t${round}`, key: `k${round}` });
      assert.deepEqual(await seen(session, ["token", "key", "notes"]), [`t${round}`, `k${round}`, "mine"]);
    }
  });

  test("a link of the user's own to the directory stays", async () => {
    await using scene = await aSession();
    const { parent, session } = scene;
    const elsewhere = join(parent, "..", "elsewhere");
    await mkdir(elsewhere, { mode: 0o700 });
    await mkdir(parent, { mode: 0o700 });
    await symlink(elsewhere, session);
    await put(session, { token: "t1", key: "k1" });
    await put(session, { token: "t2", key: "k2" });
    assert.deepEqual(await seen(session), ["t2", "k2"]);
    assert.equal(await readlink(session), elsewhere);
    assert.deepEqual(await readdir(parent), ["MINE"]);
  });

  test("a mode that lets others read is mended", async () => {
    await using scene = await aSession({ token: "t1", key: "k1" });
    const { session } = scene;
    await chmod(join(session, "key"), 0o644);
    assert.equal(await put(session, { token: "t1", key: "k1" }), true);
    assert.equal((await stat(join(session, "key"))).mode & 0o777, 0o600);
  });

  test("a file where the directory should be, and a directory where a file should be, are left alone", async () => {
    await using scene = await aSession({ token: "t1", key: "k1" });
    const { session } = scene;
    await assert.rejects(put(join(session, "token"), { token: "t1" }), { code: "NotADirectory" });
    await mkdir(join(session, "dir"));
    await assert.rejects(put(session, { dir: "t1" }), { code: "NotAFile" });
    assert.ok((await lstat(join(session, "dir"))).isDirectory());
  });
});

describe("a reader never sees a token without its key", () => {
  const pair = (found: readonly unknown[]) => JSON.stringify(found);
  const nothing = pair([undefined, undefined]);

  for (const [name, prepare, wanted, allowed] of [
    ["where there is nothing yet", async () => {}, { token: "t1", key: "k1" }, [nothing, pair(["t1", "k1"])]],
    [
      "where only the token changes",
      (session: string) => put(session, { token: "t0", key: "k1" }),
      { token: "t1", key: "k1" },
      [pair(["t0", "k1"]), pair(["t1", "k1"])],
    ],
    [
      "where both have changed before",
      async (session: string) => {
        await put(session, { token: "t", key: "k" });
        await put(session, { token: "t0", key: "k0" });
      },
      { token: "t1", key: "k1" },
      [pair(["t0", "k0"]), pair(["t1", "k1"])],
    ],
    [
      "where another tool's session is taken over, although it may see none for a moment",
      async (session: string) => {
        await mkdir(session, { recursive: true });
        await writeFile(join(session, "token"), "t0");
        await writeFile(join(session, "key"), "k0");
      },
      { token: "t1", key: "k1" },
      [pair(["t0", "k0"]), nothing, pair(["t1", "k1"])],
    ],
  ] as const) {
    test(`${name}: whenever the process is killed`, async () => {
      for (let killedAt = 1, completed = false; !completed; killedAt += 1) {
        await using scene = await aSession();
        const { parent, session } = scene;
        await prepare(session);
        const fs = fatedFileSystem((_, number) => (number === killedAt ? "killed" : "passes"));
        completed = await put(session, wanted, fs).catch(() => false);
        const found = pair(await seen(session));
        assert.ok(allowed.includes(found), `killed at ${killedAt} (${fs.made.at(-1)}): ${found}`);
        await put(session, wanted);
        assert.deepEqual(
          await seen(session),
          [wanted.token, wanted.key],
          "the next run brings it to its end",
        );
        const old = new Date((await stat(session)).mtimeMs - 3_600_000);
        for (const other of (await readdir(parent)).filter((each) => each !== "MINE")) {
          await lutimes(join(parent, other), old, old);
        }
        await put(session, { token: "t9", key: "k9" });
        assert.equal((await readdir(parent)).length, 2, "a later run leaves nothing over");
        assert.ok(killedAt < 100);
      }
    });

    test(`${name}: at every moment of a run`, async () => {
      await using scene = await aSession();
      const { session } = scene;
      await prepare(session);
      const looking: FileSystem = { ...machine };
      for (const call of ["mkdir", "rename", "symlink", "unlink", "rmdir", "open"] as const) {
        const original = machine[call] as (...given: unknown[]) => Promise<unknown>;
        Object.assign(looking, {
          [call]: async (...given: unknown[]) => {
            const result = await original(...given);
            const found = pair(await seen(session));
            assert.ok(allowed.includes(found), `after ${call}: ${found}`);
            return result;
          },
        });
      }
      assert.equal(await put(session, wanted, looking), true);
    });
  }

  for (const code of ["ENOSPC", "EROFS", "EIO"]) {
    test(`${code} at any call leaves the old pair`, async () => {
      await using scene = await aSession({ token: "t", key: "k" });
      const { parent, session } = scene;
      for (const before of ["plain", "link"]) {
        if (before === "link") {
          await put(session, { token: "t0", key: "k0" });
        }
        const old = await seen(session);
        const entries = (await readdir(parent)).length;
        for (const call of ["mkdir", "file.writeFile", "file.sync", "symlink", "rename"]) {
          const fs = fatedFileSystem((made) => (made === call ? { code } : "passes"));
          await assert.rejects(put(session, { token: "t1", key: "k1" }, fs), { stage: "deliver" });
          assert.ok(fs.made.includes(call));
          assert.deepEqual(await seen(session), old);
          assert.equal((await readdir(parent)).length, entries, `nothing is left over of ${call}`);
        }
      }
    });
  }

  test("the link cannot take the name of the plain directory: that gets its name back", async () => {
    await using scene = await aSession({ token: "t0", key: "k0" });
    const { session } = scene;
    let renames = 0;
    const fs = fatedFileSystem((call) => (call === "rename" && ++renames === 2 ? { code: "EIO" } : "passes"));
    await assert.rejects(put(session, { token: "t1", key: "k1" }, fs), { code: "FileFailed" });
    assert.deepEqual(await seen(session), ["t0", "k0"]);
  });

  test("what another run may just be making is left to it", async () => {
    await using scene = await aSession({ token: "t0", key: "k0" });
    const { parent, session } = scene;
    const [young, old] = [".MINE-00000000000000aa", ".MINE-00000000000000bb"];
    for (const name of [young, old]) {
      await mkdir(join(parent, name));
      await writeFile(join(parent, name, "token"), "t");
    }
    const past = new Date((await stat(session)).mtimeMs - 3_600_000);
    await utimes(join(parent, old), past, past);
    await put(session, { token: "t1", key: "k1" });
    const names = await readdir(parent);
    assert.deepEqual([names.includes(young), names.includes(old)], [true, false]);
  });
});
