import { needsAttention } from "../core/freshness.ts";
import { statusRows } from "../core/survey.ts";
import { json } from "./answers.ts";
import type { Answer } from "./endpoint.ts";
import { rotationName } from "./requestInput.ts";

/** 200 while every output of the rotation is safe to read, 503 when one is not. */
export const ready: Answer = async ({ runner, request }) => {
  const rotation = rotationName(request);
  const outputs = statusRows(await runner.survey(rotation)).map(({ output, freshness, reason }) => ({
    output,
    freshness,
    reason,
  }));
  const isReady = outputs.every(({ freshness }) => !needsAttention(freshness));
  return json(isReady ? 200 : 503, { rotation, ready: isReady, outputs });
};
