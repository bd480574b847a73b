import { defineSchema, type SchemaOutput } from "../defineSchema.ts";
import { type Problem, RotatorError } from "../errors.ts";
import { endpointUrl } from "../oauth/address.ts";
import { oauthProblems } from "../oauth/problems.ts";
import type { ProbePlugin } from "../plugins.ts";
import { connectionProblem, errorCode, probeProblems } from "./problems.ts";

const schema = defineSchema((z) =>
  z.strictObject({
    kind: z
      .literal("http")
      .describe("Calls an address with the new token and looks at the status of the answer."),
    url: endpointUrl(z).describe(
      "Address to GET: https, or http for a loopback address. No redirect is followed.",
    ),
    header: z
      .string()
      .regex(/^[0-9A-Za-z-]{1,64}$/, "is not the name of a header")
      .default("Authorization")
      .describe("Header that carries the token. Default Authorization."),
    scheme: z
      .string()
      .regex(/^[0-9A-Za-z-]{0,32}$/, "is not a scheme; write one word, or nothing for the bare token")
      .default("Bearer")
      .describe('What stands before the token in the header. Default Bearer; "" for the bare token.'),
    status: z
      .array(z.int().min(200).max(599))
      .min(1)
      .default([200])
      .describe("Statuses that show that the token works. Default [200]."),
  }),
);

export const http: ProbePlugin<SchemaOutput<typeof schema>> = {
  schema,
  create: async ({ url, header, scheme, status }, { fetch }) => ({
    probe: async (token, { signal }) => {
      const { host } = new URL(url);
      const credential = `${scheme} ${token.value.reveal()}`.trimStart();
      const response = await fetch(url, { headers: { [header]: credential }, signal }).catch(
        (cause: unknown) => {
          const problem = signal.aborted ? probeProblems.ProbeTimeout : problemOfFailure(cause);
          throw new RotatorError(problem, { facts: { host }, cause });
        },
      );
      // Only the status counts; what is left unread would keep the connection.
      await response.body?.cancel().catch(() => {});
      if (!status.includes(response.status)) {
        throw new RotatorError(problemOfStatus(response.status), {
          facts: { host, httpStatus: response.status },
        });
      }
    },
  }),
};

function problemOfStatus(status: number): Problem {
  if (status === 401 || status === 403) {
    return probeProblems.ProbeRefused;
  }
  return status === 429 || status >= 500 ? probeProblems.ProbeUnreachable : probeProblems.ProbeFailed;
}

/** The `fetch` of the environment has its own problems, worded for a provider's endpoint. */
function problemOfFailure(error: unknown): Problem {
  if (!(error instanceof RotatorError)) {
    // Node wraps the reason: TypeError "fetch failed", whose cause has the code.
    return connectionProblem(errorCode((error as Error).cause));
  }
  if (error.code === oauthProblems.EndpointCertificateRefused.code) {
    return probeProblems.ProbeUntrusted;
  }
  return error.retryable ? probeProblems.ProbeUnreachable : probeProblems.ProbeFailed;
}
