import { problems } from "../../errors.ts";

/** What can be wrong with a secret's content, or with the file that it goes into. */
export const contentProblems = problems({
  ContentUnfit: {
    message: "The secret does not hold what a file of this kind is made of, so nothing was written.",
    remedy: "Compare the kind of the file with the format of the output; `file` takes any.",
    retryable: false,
  },
  ProfileNotOurs: {
    message:
      "The profile signs with an API key of its own; a session in the same profile would replace that.",
    remedy: "Give the session a profile of another name.",
    retryable: false,
  },
  PathUnfit: {
    message: "The path of the directory cannot stand in an OCI configuration.",
    remedy: "Choose a directory without line breaks in its path.",
    retryable: false,
  },
});
