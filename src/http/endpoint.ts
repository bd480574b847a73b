import type { HttpHandler, HttpRequest, HttpResponseInit, InvocationContext } from "@azure/functions";
import type { InvocationFacts, Runner } from "../app/runner.ts";
import { asRotatorError, RotatorError } from "../errors.ts";
import { runner } from "../functions.ts";
import type { Access } from "./access.ts";
import { accessOf, authLevelOf, isCrossSite, requireSignIn } from "./access.ts";
import { problem, statusOf } from "./answers.ts";
import { httpProblems } from "./problems.ts";

/** What a function answers. Whatever it throws becomes a problem document. */
export type Answer = (call: Call) => Promise<HttpResponseInit>;

export interface Call {
  readonly runner: Runner;
  readonly request: HttpRequest;
  readonly access: Access;
  readonly invocation: InvocationFacts;
}

const configuredAccess = accessOf(process.env);

/** For the functions that callers reach with a key or, where it is so configured, by signing in with Entra ID. */
export const authLevel = authLevelOf(configuredAccess);

export interface EndpointOptions {
  /** Default as configured. `key` for a function whose registration asks for a key in any case. */
  readonly access?: Access;
  readonly runner?: Runner;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

/** @param load gives the answer's code when it is first asked for: the worker loads every function, also for the timer. */
export function endpoint(load: () => Promise<Answer>, options: EndpointOptions = {}): HttpHandler {
  const { access = configuredAccess, environment = process.env } = options;
  return async (request, context) => {
    try {
      if (access === "entra") {
        requireSignIn(request, environment);
      }
      if (request.method !== "GET" && isCrossSite(request)) {
        throw new RotatorError(httpProblems.CrossSiteRequest);
      }
      const answer = await load();
      return await answer({
        runner: options.runner ?? runner,
        request,
        access,
        invocation: invocationFacts(context),
      });
    } catch (thrown) {
      const error = asRotatorError(thrown);
      if (statusOf(error) >= 500) {
        context.error(`${error.code}: ${error.summary} ${error.remedy}`);
      }
      return problem(error);
    }
  };
}

function invocationFacts(context: InvocationContext): InvocationFacts {
  const { invocationId, traceContext } = context;
  return {
    invocationId,
    log: (level, line) => context[level](line),
    traceParent: traceContext?.traceParent,
  };
}
