import { type Problem, problems } from "../errors.ts";

/** What a probe can find out. The same for every kind of probe, so that one alert rule fits them all. */
export const probeProblems = problems({
  ProbeRefused: {
    message: "The system that the token is for refuses it.",
    remedy:
      "Check that the identity exists there under the configured user and has been granted access, and that the token is for this system.",
    retryable: false,
  },
  ProbeFailed: {
    message: "The system that the token is for gave an unexpected answer.",
    remedy: "Check the options of the probe against the system: address, database, expected status.",
    retryable: false,
  },
  ProbeUnreachable: {
    message: "The system that the token is for cannot be reached, or cannot answer at the moment.",
    remedy: "Check the host name, DNS, and whether the network lets the rotator out to it.",
    retryable: true,
  },
  ProbeUntrusted: {
    message: "The system that the token is for offers no TLS, or a certificate that is not trusted.",
    remedy: "Check the host name; where it has a private CA, name its root in NODE_EXTRA_CA_CERTS.",
    retryable: false,
  },
  ProbeTimeout: {
    message: "The system that the token is for did not answer in time.",
    remedy: "Check that it is up and that the network lets the rotator out to it.",
    retryable: true,
  },
});

/** A connection that was not made, or broke: by its error code, for none of which the text of the error is needed. */
export function connectionProblem(errorCode: string | undefined): Problem {
  // OpenSSL's and Node's own codes: ERR_TLS_CERT_ALTNAME_INVALID, SELF_SIGNED_CERT_IN_CHAIN, UNABLE_TO_VERIFY_LEAF_SIGNATURE.
  const isTrust = /CERT|TLS|SSL|ISSUER|SIGNATURE/.test(errorCode ?? "");
  return isTrust ? probeProblems.ProbeUntrusted : probeProblems.ProbeUnreachable;
}

/** The `code` of a system, TLS or database error. */
export function errorCode(error: unknown): string | undefined {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : undefined;
  return typeof code === "string" && /^[A-Z0-9_]{1,64}$/.test(code) ? code : undefined;
}
