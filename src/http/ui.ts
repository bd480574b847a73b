import type { HttpResponseInit } from "@azure/functions";
import type { Runner } from "../app/runner.ts";
import type { RotationResult } from "../core/result.ts";
import { isFailure } from "../core/result.ts";
import { asRotatorError } from "../errors.ts";
import { answer, statusOf } from "./answers.ts";
import type { Answer, Call } from "./endpoint.ts";
import { formToken, requireFormToken } from "./formToken.ts";
import { pageHeaders } from "./page/document.ts";
import { problemPage } from "./page/problemPage.ts";
import { pageRows } from "./page/rows.ts";
import { signInPage } from "./page/signInPage.ts";
import type { Said } from "./page/statusPage.ts";
import { statusPage } from "./page/statusPage.ts";
import { checkedName, smallBody } from "./requestInput.ts";
import { httpTickMs } from "./rotate.ts";

/**
 * Where somebody with a browser begins. Behind an Entra sign-in it is the status page itself; otherwise it asks for the key
 * of {@link uiPage}, because a browser cannot be told to send one.
 */
export const ui: Answer = async (call) =>
  call.access === "entra" ? uiPage(call) : htmlAnswer(200, signInPage());

/** The status page, and `rotate now` on it. */
export const uiPage: Answer = async (call) => {
  const { runner, request } = call;
  const token = formToken(request);
  try {
    const said = request.method === "POST" ? await rotateNow(call) : undefined;
    const survey = await runner.survey();
    const page = statusPage({
      rows: pageRows(survey, runner.history),
      now: survey.now,
      refreshSeconds: await refreshSeconds(runner),
      token: token.value,
      ...(said === undefined ? {} : { said }),
    });
    return { ...htmlAnswer(said?.status ?? 200, page), cookies: [token.cookie] };
  } catch (thrown) {
    const error = asRotatorError(thrown);
    call.invocation.log("warn", `${error.code}: ${error.summary} ${error.remedy}`);
    return htmlAnswer(statusOf(error), problemPage(error, longestRefreshSeconds));
  }
};

/** What is wrong with the request itself is shown beside the rotations where it can be, as is what became of it. */
async function rotateNow({ runner, request, invocation }: Call): Promise<Said & { status: number }> {
  const form = new URLSearchParams(await smallBody(request));
  requireFormToken(request, form);
  const rotation = checkedName(form.get("rotation"));
  try {
    const report = await runner.tickNow(
      { names: [rotation], force: true, deadlineMs: httpTickMs },
      invocation,
    );
    const [{ outcome, error }] = report.rotations as [RotationResult];
    return {
      rotation,
      outcome,
      tone: isFailure(outcome) ? "bad" : "good",
      status: 200,
      ...(error === undefined ? {} : { error }),
    };
  } catch (thrown) {
    const error = asRotatorError(thrown);
    return { rotation, tone: "warn", status: statusOf(error), error };
  }
}

const longestRefreshSeconds = 60;

/** As often as something can change, but not so often that looking becomes a load. */
async function refreshSeconds(runner: Runner): Promise<number> {
  return Math.min(longestRefreshSeconds, Math.max(5, Math.round((await runner.tickMs()) / 1000)));
}

function htmlAnswer(status: number, page: string): HttpResponseInit {
  return answer(status, "text/html; charset=utf-8", page, pageHeaders);
}
