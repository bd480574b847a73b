import { asRotatorError, type Problem, problems, RotatorError } from "../../errors.ts";
import { systemCode } from "./fileSystem.ts";

export const fileProblems = problems({
  DirectoryNotSafe: {
    message:
      "Others may write to a directory on the way to the file, so they could put another file in its place.",
    remedy:
      "Take the right away from group and others (`chmod go-w`), choose another path, or say --shared-directories where only those may write who may also read the tokens.",
    retryable: false,
  },
  DirectoryNotOwned: {
    message:
      "A directory on the way to the file belongs to somebody else, who could put another file in its place.",
    remedy:
      "Run this as the owner of the directory, choose another path, or say --shared-directories where the owner may read the tokens too.",
    retryable: false,
  },
  LinkNotOwned: {
    message: "A symbolic link on the way to the file was made by somebody else; it is not followed.",
    remedy: "Remove the link or make it anew as yourself, and run this again.",
    retryable: false,
  },
  LinksEndless: {
    message: "The symbolic links on the way to the file lead round in a circle.",
    remedy: "Remove the link that the path goes through.",
    retryable: false,
  },
  NotAFile: {
    message: "What is at the path is not a plain file, so it is not replaced.",
    remedy: "Move it away, or choose another path.",
    retryable: false,
  },
  NotADirectory: {
    message: "Something that is no directory stands on the way to the file.",
    remedy: "Move it away, or choose another path.",
    retryable: false,
  },
  OwnerNotKept: {
    message:
      "The file belongs to another user or group than a new one would, and only its owner can replace it.",
    remedy: "Run this as the owner of the file.",
    retryable: false,
  },
  FileNotWritable: {
    message: "The file system does not let us write there.",
    remedy: "Check the owner and the mode of the directory, and whether it is mounted read-only.",
    retryable: false,
  },
  DiskFull: {
    message: "There is no room for the new file; the old one is as it was.",
    remedy: "Make room on the disk, or raise the quota.",
    retryable: true,
  },
  FileTooLarge: {
    message: "The file is larger than any of its kind should be, so it was not touched.",
    remedy: "Check what the file at the path is.",
    retryable: false,
  },
  FileBusy: {
    message: "Another program kept changing the file while it was being written.",
    remedy: "Nothing to do: the next run tries again.",
    retryable: true,
  },
  FileFailed: {
    message: "The file could not be written; the old one is as it was.",
    remedy: "Look up the error code in the facts.",
    retryable: true,
  },
});

/** What a system call threw, as a problem of ours at that path. */
export function fileError(error: unknown, path: string): RotatorError {
  if (error instanceof RotatorError) {
    return asRotatorError(error, "deliver");
  }
  const code = systemCode(error);
  const problem = (code === undefined ? undefined : problemByCode[code]) ?? fileProblems.FileFailed;
  return asRotatorError(
    new RotatorError(problem, {
      cause: error,
      facts: { path, ...(code === undefined ? {} : { errorCode: code }) },
    }),
    "deliver",
  );
}

const problemByCode: Readonly<Record<string, Problem>> = {
  EACCES: fileProblems.FileNotWritable,
  EPERM: fileProblems.FileNotWritable,
  EROFS: fileProblems.FileNotWritable,
  ENOSPC: fileProblems.DiskFull,
  EDQUOT: fileProblems.DiskFull,
  ENOTDIR: fileProblems.NotADirectory,
  EISDIR: fileProblems.NotAFile,
  ELOOP: fileProblems.LinksEndless,
};
