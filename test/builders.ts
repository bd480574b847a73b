import type { Output, Rotation, SourceBinding } from "../src/core/rotation.ts";
import { versionTags } from "../src/core/tags.ts";
import type { SecretProperties, SecretState, Token, TokenSource } from "../src/ports.ts";
import { SecretValue } from "../src/secretValue.ts";

export const vault = "https://kv-test.vault.azure.net";
/** 2026-01-01T00:00:00Z, in milliseconds: tests begin here. */
export const epoch = Date.UTC(2026, 0, 1);
export const seconds = 1000;
export const minutes = 60 * seconds;
export const hours = 60 * minutes;

export function aToken(overrides: Partial<Omit<Token, "value">> & { text?: string } = {}): Token {
  const { text = "first-token", ...rest } = overrides;
  return {
    value: new SecretValue(text),
    issuedOn: new Date(epoch),
    expiresOn: new Date(epoch + hours),
    ...rest,
  };
}

export function aSource(
  mint: TokenSource["mint"],
  overrides: Partial<Omit<SourceBinding, "load">> = {},
): SourceBinding {
  return {
    key: "source-1",
    kind: "test",
    refusedBeforeExpiryMs: 0,
    ...overrides,
    load: async () => ({ mint }),
  };
}

export function anOutput(overrides: Partial<Output> = {}): Output {
  return {
    secret: "app-token",
    vault,
    adopt: false,
    spec: "spec-1",
    load: async () => ({ render: ({ value }) => ({ value, contentType: "text/plain" }) }),
    ...overrides,
  };
}

/** A rotation with one output, a floor of 22 minutes (propagation 5, three ticks of 5, retries 2) and no checks. */
export function aRotation(overrides: Partial<Rotation> = {}): Rotation {
  return {
    name: "app",
    sources: [aSource(async () => aToken())],
    outputs: [anOutput()],
    consumers: [],
    timing: { floorMs: 22 * minutes },
    checks: { check: () => {}, subjectOf: ({ subject }) => subject, subjectStated: false },
    faults: [],
    ...overrides,
  };
}

/** Properties as the rotator leaves them; `tags` are added to its own. */
export function ourVersion(
  overrides: Partial<SecretProperties> & { rotation?: string; token?: Token; spec?: string } = {},
): SecretProperties {
  const { rotation = "app", token = aToken(), spec = "spec-1", tags = {}, ...rest } = overrides;
  return {
    name: "app-token",
    enabled: true,
    expiresOn: token.expiresOn,
    createdOn: token.issuedOn,
    ...rest,
    tags: {
      ...versionTags({
        rotation,
        spec,
        token: token.value.fingerprint(),
        content: token.value.fingerprint(),
        operation: "operation-0",
        subject: token.subject,
        issuedOn: token.issuedOn,
        sequence: 1,
      }),
      ...tags,
    },
  };
}

export function present(properties: SecretProperties): SecretState {
  return { kind: "present", properties };
}
