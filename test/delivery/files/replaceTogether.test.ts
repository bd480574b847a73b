import assert from "node:assert/strict";
import {
  chmod,
  lstat,
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
  return replaceTogether(directory, set, { fs, directoryMode: 0o700 });
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

describe("files that belong together", () => {
  test("appear together, change together, and are left alone when nothing changes", async () => {
    await using directory = await temporaryDirectory();
    const session = join(directory.path, "sessions", "MINE");
    assert.equal(await put(session, { token: "t1", key: "k1" }), true);
    assert.deepEqual(await seen(session), ["t1", "k1"]);
    assert.equal((await stat(session)).mode & 0o777, 0o700);
    assert.equal((await stat(join(session, "token"))).mode & 0o777, 0o600);

    const before = await readlink(join(session, "..data"));
    assert.equal(await put(session, { token: "t1", key: "k1" }), false);
    assert.equal(await readlink(join(session, "..data")), before);

    assert.equal(await put(session, { token: "t2", key: "k2" }), true);
    assert.deepEqual(await seen(session), ["t2", "k2"]);
    const after = await readlink(join(session, "..data"));
    assert.deepEqual(
      (await readdir(session)).toSorted(),
      [after, "..data", "key", "token"].toSorted(),
      "the old content is gone",
    );
  });

  test("files of before are put behind links, and files of the user's stay", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, "token"), "t0", { mode: 0o644 });
    await writeFile(join(directory.path, "key"), "k0");
    await writeFile(join(directory.path, "notes"), "mine");
    await symlink("notes", join(directory.path, "own-link"));
    assert.equal(await put(directory.path, { token: "t1", key: "k1" }), true);
    assert.deepEqual(await seen(directory.path), ["t1", "k1"]);
    assert.deepEqual(await seen(directory.path, ["notes", "own-link"]), ["mine", "mine"]);
    assert.ok((await lstat(join(directory.path, "token"))).isSymbolicLink());
  });

  test("a file that leaves the set is no longer to be seen", async () => {
    await using directory = await temporaryDirectory();
    await put(directory.path, { token: "t1", key: "k1" });
    await put(directory.path, { token: "t2" });
    assert.deepEqual(await seen(directory.path), ["t2", undefined]);
    assert.equal((await readdir(directory.path)).includes("key"), false);
  });

  test("a file that somebody put in place of a link is replaced", async () => {
    await using directory = await temporaryDirectory();
    await put(directory.path, { token: "t1", key: "k1" });
    await machine.unlink(join(directory.path, "token"));
    await writeFile(join(directory.path, "token"), "theirs");
    assert.equal(await put(directory.path, { token: "t1", key: "k1" }), true);
    assert.deepEqual(await seen(directory.path), ["t1", "k1"]);
  });

  test("a mode that lets others read is mended", async () => {
    await using directory = await temporaryDirectory();
    await put(directory.path, { token: "t1" });
    await chmod(join(directory.path, "token"), 0o644);
    assert.equal(await put(directory.path, { token: "t1" }), true);
    assert.equal((await stat(join(directory.path, "token"))).mode & 0o777, 0o600);
  });

  test("a directory of that name is not removed", async () => {
    await using directory = await temporaryDirectory();
    await mkdir(join(directory.path, "token"));
    await assert.rejects(put(directory.path, { token: "t1" }), { code: "NotAFile" });
    assert.ok((await lstat(join(directory.path, "token"))).isDirectory());
  });

  test("a link ..data that leads elsewhere is not followed", async () => {
    await using directory = await temporaryDirectory();
    const elsewhere = join(directory.path, "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "token"), "theirs");
    const session = join(directory.path, "session");
    await mkdir(session);
    await symlink(elsewhere, join(session, "..data"));
    await put(session, { token: "t1" });
    assert.deepEqual(await seen(session, ["token"]), ["t1"]);
    assert.deepEqual(await seen(elsewhere, ["token"]), ["theirs"]);
  });
});

describe("a reader never sees a token without its key", () => {
  const pairs = [
    [undefined, undefined],
    ["t0", "k0"],
    ["t1", "k1"],
  ];

  for (const [name, prepare] of [
    ["where there is nothing yet", async () => {}],
    [
      "where another tool has laid out a session",
      async (session: string) => {
        await mkdir(session, { recursive: true });
        await writeFile(join(session, "token"), "t0");
        await writeFile(join(session, "key"), "k0");
      },
    ],
    ["where there is one of ours", (session: string) => put(session, { token: "t0", key: "k0" })],
  ] as const) {
    test(`${name}, whenever the process is killed`, async () => {
      for (let killedAt = 1, completed = false; !completed; killedAt += 1) {
        await using directory = await temporaryDirectory();
        const session = join(directory.path, "session");
        await prepare(session);
        const fs = fatedFileSystem((_, number) => (number === killedAt ? "killed" : "passes"));
        completed = await put(session, { token: "t1", key: "k1" }, fs).catch(() => false);
        const found = await seen(session);
        assert.ok(
          pairs.some((pair) => JSON.stringify(pair) === JSON.stringify(found)),
          `killed at ${killedAt} (${fs.made.at(-1)}): ${found}`,
        );
        await put(session, { token: "t1", key: "k1" });
        assert.deepEqual(await seen(session), ["t1", "k1"], "the next run brings it to its end");
        assert.ok(killedAt < 200);
      }
    });

    test(`${name}, at every moment of a run`, async () => {
      await using directory = await temporaryDirectory();
      const session = join(directory.path, "session");
      await prepare(session);
      const looking: FileSystem = { ...machine };
      for (const call of ["mkdir", "rename", "symlink", "unlink", "rm", "open"] as const) {
        const original = machine[call] as (...given: unknown[]) => Promise<unknown>;
        Object.assign(looking, {
          [call]: async (...given: unknown[]) => {
            const result = await original(...given);
            const found = await seen(session);
            assert.ok(
              pairs.some((pair) => JSON.stringify(pair) === JSON.stringify(found)),
              `after ${call}: ${found}`,
            );
            return result;
          },
        });
      }
      assert.equal(await put(session, { token: "t1", key: "k1" }, looking), true);
    });
  }

  for (const code of ["ENOSPC", "EROFS", "EIO"]) {
    test(`${code} at any call leaves the old pair`, async () => {
      await using directory = await temporaryDirectory();
      await put(directory.path, { token: "t0", key: "k0" });
      const whole = fatedFileSystem(() => "passes");
      await put(directory.path, { token: "t1", key: "k1" }, whole);
      await put(directory.path, { token: "t0", key: "k0" });
      for (const call of ["mkdir", "file.writeFile", "file.sync", "symlink", "rename"]) {
        assert.ok(whole.made.includes(call));
        const fs = fatedFileSystem((made) => (made === call ? { code } : "passes"));
        const result = put(directory.path, { token: "t1", key: "k1" }, fs);
        await assert.rejects(result, { stage: "deliver" });
        assert.deepEqual(await seen(directory.path), ["t0", "k0"]);
        assert.deepEqual(
          (await readdir(directory.path)).filter((name) => name.startsWith("..")).length,
          2,
          "nothing is left over",
        );
      }
    });
  }

  test("what killed runs have left is removed by a later one, but not what another run may be making", async () => {
    await using directory = await temporaryDirectory();
    await put(directory.path, { token: "t0" });
    for (const name of ["..00000000000000aa", "..00000000000000bb"]) {
      await mkdir(join(directory.path, name));
    }
    const old = new Date((await stat(directory.path)).mtimeMs - 3_600_000);
    await utimes(join(directory.path, "..00000000000000aa"), old, old);
    await put(directory.path, { token: "t1" });
    const names = await readdir(directory.path);
    assert.equal(names.includes("..00000000000000aa"), false);
    assert.equal(names.includes("..00000000000000bb"), true);
  });
});
