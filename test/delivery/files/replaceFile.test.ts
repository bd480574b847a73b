import assert from "node:assert/strict";
import {
  chmod,
  link,
  lstat,
  mkdir,
  readdir,
  readFile,
  rename,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { FileSystem } from "../../../src/delivery/files/fileSystem.ts";
import { replaceFile } from "../../../src/delivery/files/replaceFile.ts";
import { fatedFileSystem, quickFileSystem, randomText, temporaryDirectory } from "./scene.ts";

const machine = quickFileSystem();

function put(path: string, content: string, fs: FileSystem = machine, mode = 0o600): Promise<boolean> {
  return replaceFile(path, () => Buffer.from(content), { fs, mode });
}

async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o7777;
}

describe("replacing a file", () => {
  test("makes it, and the directories that are missing, for this user alone", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "a", "b", "token");
    assert.equal(await put(path, "first"), true);
    assert.equal(await readFile(path, "utf8"), "first");
    assert.equal(await modeOf(path), 0o600);
    assert.equal(await modeOf(join(directory.path, "a")), 0o700);
    assert.equal(await modeOf(join(directory.path, "a", "b")), 0o700);
  });

  test("writes nothing when nothing changes, but mends a mode that lets others read", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await put(path, "same");
    const before = await stat(path);
    assert.equal(await put(path, "same"), false);
    const after = await stat(path);
    assert.deepEqual([after.ino, after.mtimeMs], [before.ino, before.mtimeMs]);

    await chmod(path, 0o644);
    assert.equal(await put(path, "same"), true);
    assert.equal(await modeOf(path), 0o600);
    assert.equal((await stat(path)).ino, before.ino, "it is still the same file");
  });

  test("gives the mode that is asked for, whatever the umask", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await put(path, "content", machine, 0o666);
    assert.equal(await modeOf(path), 0o666);
  });

  test("a reader that has it open goes on reading the old content", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await put(path, "old");
    await using reader = await machine.open(path, "r");
    await put(path, "new");
    assert.equal(await reader.readFile("utf8"), "old");
    assert.equal(await readFile(path, "utf8"), "new");
  });

  test("follows a link of the user's own, and keeps it", async () => {
    await using directory = await temporaryDirectory();
    const target = join(directory.path, "dotfiles", "pgpass");
    await mkdir(join(directory.path, "dotfiles"));
    await writeFile(target, "old");
    const path = join(directory.path, ".pgpass");
    await symlink(join("dotfiles", "..", "dotfiles", "pgpass"), path);
    await put(path, "new");
    assert.ok((await lstat(path)).isSymbolicLink());
    assert.equal(await readFile(target, "utf8"), "new");
    assert.deepEqual(
      await readdir(join(directory.path, "dotfiles")),
      ["pgpass"],
      "the new file was made beside the target",
    );
  });

  test("makes the file that a link leads to where there is none yet", async () => {
    await using directory = await temporaryDirectory();
    await symlink("target", join(directory.path, "link"));
    await put(join(directory.path, "link"), "new");
    assert.equal(await readFile(join(directory.path, "target"), "utf8"), "new");
  });

  test("another name of the old file keeps the old content", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, "token"), "old");
    await link(join(directory.path, "token"), join(directory.path, "other"));
    await put(join(directory.path, "token"), "new");
    assert.equal(await readFile(join(directory.path, "other"), "utf8"), "old");
  });

  test("takes in what another program writes in the meantime", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, ".pgpass");
    await writeFile(path, "mine\n");
    let editing = true;
    const fs = fatedFileSystem((call) => {
      if (call === "file.sync" && editing) {
        editing = false;
        // An editor saves: a new file under the old name. The call is synchronous here, the saving is not; it is awaited below.
        saved = writeFile(`${path}.edit`, "mine\nand more\n").then(() => rename(`${path}.edit`, path));
      }
      return "passes";
    });
    let saved: Promise<void> | undefined;
    const original = fs.lstat;
    const waiting: FileSystem = {
      ...fs,
      lstat: (async (...given: Parameters<FileSystem["lstat"]>) => {
        await saved;
        return original(...given);
      }) as FileSystem["lstat"],
    };
    await replaceFile(path, (existing) => Buffer.concat([existing ?? Buffer.of(), Buffer.from("ours\n")]), {
      fs: waiting,
      mode: 0o600,
    });
    assert.equal(await readFile(path, "utf8"), "mine\nand more\nours\n");
    assert.deepEqual(await readdir(directory.path), [".pgpass"]);
  });

  test("removes what a killed run has left, once that cannot be at work any more", async () => {
    await using directory = await temporaryDirectory();
    const old = join(directory.path, ".token-rotator-0123456789abcdef.tmp");
    const young = join(directory.path, ".token-rotator-fedcba9876543210.tmp");
    const users = join(directory.path, "notes.tmp");
    for (const path of [old, young, users]) {
      await writeFile(path, "x");
    }
    const past = new Date((await stat(old)).mtimeMs - 3_600_000);
    await utimes(old, past, past);
    await utimes(users, past, past);
    await put(join(directory.path, "token"), "content");
    assert.deepEqual(
      (await readdir(directory.path)).toSorted(),
      [young, users, join(directory.path, "token")]
        .map((path) => path.slice(directory.path.length + 1))
        .toSorted(),
    );
  });
});

describe("whatever fails, the old file is intact", () => {
  for (const [call, code, expected] of [
    ["open", "EACCES", "FileNotWritable"],
    ["open", "EROFS", "FileNotWritable"],
    ["file.writeFile", "ENOSPC", "DiskFull"],
    ["file.writeFile", "EDQUOT", "DiskFull"],
    ["file.sync", "EIO", "FileFailed"],
    ["rename", "EPERM", "FileNotWritable"],
  ] as const) {
    test(`${call} fails with ${code}`, async () => {
      await using directory = await temporaryDirectory();
      const path = join(directory.path, "token");
      await put(path, "old");
      const fs = fatedFileSystem((made) => (made === call ? { code } : "passes"));
      await assert.rejects(put(path, "new", fs), { code: expected, stage: "deliver" });
      assert.equal(await readFile(path, "utf8"), "old");
      assert.deepEqual(await readdir(directory.path), ["token"], "nothing with the new content is left");
    });
  }

  test("a directory that cannot be brought to the disk is no failure: the file is in place", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await put(path, "old");
    let renamed = false;
    const fs = fatedFileSystem((call) => {
      renamed ||= call === "rename";
      return renamed && call === "open" ? { code: "EINVAL" } : "passes";
    });
    assert.equal(await put(path, "new", fs), true);
    assert.equal(await readFile(path, "utf8"), "new");
  });

  test("the process is killed at any call", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await put(path, "old");
    const whole = fatedFileSystem(() => "passes");
    await put(path, "0", whole);
    assert.ok(whole.made.includes("rename"));
    for (let killedAt = 1; killedAt <= whole.made.length; killedAt += 1) {
      const [before, after] = [`before ${killedAt}`, `after ${killedAt}`];
      await put(path, before);
      const fs = fatedFileSystem((_, number) => (number === killedAt ? "killed" : "passes"));
      await put(path, after, fs).catch(() => {});
      const found = await readFile(path, "utf8");
      assert.ok([before, after].includes(found), `call ${killedAt}, ${whole.made[killedAt - 1]}: ${found}`);
      assert.equal(await modeOf(path), 0o600);
      assert.equal(await put(path, after), found !== after, "the next run brings it to its end");
    }
    const past = new Date((await stat(path)).mtimeMs - 3_600_000);
    for (const name of await readdir(directory.path)) {
      await utimes(join(directory.path, name), past, past);
    }
    await put(path, randomText());
    assert.deepEqual(await readdir(directory.path), ["token"]);
  });
});

describe("what is in somebody else's hands is not written to", () => {
  const stranger: FileSystem = { ...machine, user: { uid: 4_000_000, gid: 4_000_000 } };

  test("a link that somebody else has made", async () => {
    await using directory = await temporaryDirectory();
    await writeFile(join(directory.path, "victim"), "theirs");
    await symlink("victim", join(directory.path, "token"));
    const { uid } = await lstat(join(directory.path, "token"));
    const fs = withOwners({ [join(directory.path, "token")]: uid + 1 });
    await assert.rejects(put(join(directory.path, "token"), "new", fs), { code: "LinkNotOwned" });
    assert.equal(await readFile(join(directory.path, "victim"), "utf8"), "theirs");
  });

  test("a directory of somebody else, also for root", async () => {
    await using directory = await temporaryDirectory();
    const fs = withOwners({ [directory.path]: 4_000_001 });
    for (const user of [fs.user, { uid: 0, gid: 0 }, stranger.user]) {
      await assert.rejects(put(join(directory.path, "token"), "new", { ...fs, user }), {
        code: "DirectoryNotOwned",
      });
    }
    assert.deepEqual(await readdir(directory.path), []);
  });

  test("a directory that everybody may write to, with and without a sticky bit", async () => {
    await using directory = await temporaryDirectory();
    for (const mode of [0o777, 0o1777, 0o702]) {
      await chmod(directory.path, mode);
      await assert.rejects(put(join(directory.path, "token"), "new"), { code: "DirectoryNotSafe" });
    }
    const shared: FileSystem = { ...machine, sharedDirectories: true };
    assert.equal(
      await put(join(directory.path, "token"), "new", shared),
      true,
      "unless somebody says that it is meant so",
    );
    await chmod(directory.path, 0o700);
  });

  test("a directory below one that everybody may write to, unless that has a sticky bit", async () => {
    await using directory = await temporaryDirectory();
    await mkdir(join(directory.path, "own"), { mode: 0o700 });
    const path = join(directory.path, "own", "token");
    await chmod(directory.path, 0o777);
    await assert.rejects(put(path, "new"), { code: "DirectoryNotSafe" });
    await chmod(directory.path, 0o1777);
    assert.equal(await put(path, "new"), true);
  });

  test("a directory of a group that is not the user's own", async () => {
    await using directory = await temporaryDirectory();
    await chmod(directory.path, 0o770);
    const { uid, gid } = await stat(directory.path);
    const member: FileSystem = { ...machine, user: { uid, gid: gid + 1 } };
    const isRootsGroup = gid === 0;
    const result = put(join(directory.path, "token"), "new", member);
    await (isRootsGroup
      ? assert.doesNotReject(result)
      : assert.rejects(result, { code: "DirectoryNotSafe" }));
    assert.equal(
      await put(join(directory.path, "token"), "newer"),
      true,
      "the user's own group is no stranger",
    );
  });

  test("a file that a new one could not belong to the owner of", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await writeFile(path, "old");
    const fs = withOwners({ [path]: 4_000_001 });
    // Root could give it away; the test is about everybody else.
    const powerless = fatedFileSystem((call) => (call === "file.chown" ? { code: "EPERM" } : "passes"));
    await assert.rejects(put(path, "new", { ...powerless, lstat: fs.lstat }), { code: "OwnerNotKept" });
    assert.equal(await readFile(path, "utf8"), "old");
  });

  test("links that lead round in a circle, and links to directories and devices", async () => {
    await using directory = await temporaryDirectory();
    await symlink("b", join(directory.path, "a"));
    await symlink("a", join(directory.path, "b"));
    await symlink("/dev/null", join(directory.path, "null"));
    await symlink(".", join(directory.path, "here"));
    const shared: FileSystem = { ...machine, sharedDirectories: true };
    for (const [name, code] of [
      ["a", "LinksEndless"],
      ["null", "NotAFile"],
      ["here", "NotAFile"],
      ["null/token", "NotADirectory"],
    ] as const) {
      await assert.rejects(put(join(directory.path, name), "new", shared), { code });
    }
  });

  test("the last part of the path becomes a link after the look: the link is replaced, not followed", async () => {
    await using directory = await temporaryDirectory();
    const victim = join(directory.path, "victim");
    await writeFile(victim, "theirs");
    const path = join(directory.path, "token");
    const planting: FileSystem = {
      ...machine,
      rename: (async (from: string, to: string) => {
        await symlink(victim, path);
        return machine.rename(from, to);
      }) as FileSystem["rename"],
    };
    await put(path, "new", planting);
    assert.equal(await readFile(victim, "utf8"), "theirs");
    assert.ok((await lstat(path)).isFile());
  });

  test("a temporary file that somebody has put there beforehand is not written to", async () => {
    await using directory = await temporaryDirectory();
    const victim = join(directory.path, "victim");
    await writeFile(victim, "theirs");
    const planting: FileSystem = {
      ...machine,
      open: (async (path: string, ...rest: [number, number]) => {
        if (path.endsWith(".tmp")) {
          await symlink(victim, path);
        }
        return machine.open(path, ...rest);
      }) as FileSystem["open"],
    };
    await assert.rejects(put(join(directory.path, "token"), "new", planting), { code: "FileFailed" });
    assert.equal(await readFile(victim, "utf8"), "theirs");
  });
});

describe("the owner stays", () => {
  test("where root replaces a file of another user in a directory of its own", async () => {
    await using directory = await temporaryDirectory();
    const path = join(directory.path, "token");
    await writeFile(path, "old");
    const given: (readonly number[])[] = [];
    const fs = withOwners({ [path]: 4_000_001 });
    const open = fs.open;
    await put(path, "new", {
      ...fs,
      open: (async (...parameters: Parameters<FileSystem["open"]>) => {
        const handle = await open(...parameters);
        handle.chown = async (uid, gid) => void given.push([uid, gid]);
        return handle;
      }) as FileSystem["open"],
    });
    assert.deepEqual(
      given.map(([uid]) => uid),
      [4_000_001],
    );
  });
});

/** The machine's file system with other owners for some paths. */
function withOwners(owners: Readonly<Record<string, number>>): FileSystem {
  return {
    ...machine,
    lstat: (async (path: string) => {
      const stats = await machine.lstat(path);
      const uid = owners[path];
      return uid === undefined ? stats : Object.assign(Object.create(stats), { uid });
    }) as FileSystem["lstat"],
  };
}
