import { statusRows } from "../core/survey.ts";
import { json } from "./answers.ts";
import type { Answer } from "./endpoint.ts";

/** What `token-rotator status --json` prints. */
export const status: Answer = async ({ runner }) => json(200, statusRows(await runner.survey()));
