import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decide, renewAt } from "../../src/core/decide.ts";
import type { Rotation } from "../../src/core/rotation.ts";
import { outputKey } from "../../src/core/rotation.ts";
import type { Survey, SurveyedConsumer } from "../../src/core/survey.ts";
import { checkClock } from "../../src/doctor/clockCheck.ts";
import { checkConsumers } from "../../src/doctor/consumerChecks.ts";
import { type Principal, roleCommand } from "../../src/doctor/roleCommand.ts";
import { checkTicks, checkVersions } from "../../src/doctor/rotationChecks.ts";
import { RotatorError } from "../../src/errors.ts";
import type { SecretState } from "../../src/ports.ts";
import {
  anOutput,
  aRotation,
  aToken,
  epoch,
  hours,
  minutes,
  ourVersion,
  present,
  vault,
} from "../builders.ts";

const app =
  "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-apps/providers/Microsoft.App/containerApps/postgres-mcp";
const principal: Principal = { objectId: "33333333-3333-4333-8333-333333333333", type: "ServicePrincipal" };
const tickMs = 5 * minutes;

function surveyOf(
  state: SecretState,
  now: number,
  { rotation = aRotation(), consumers = [] }: { rotation?: Rotation; consumers?: SurveyedConsumer[] } = {},
): Survey {
  const [output = anOutput()] = rotation.outputs;
  const decision = decide(rotation, new Map([[outputKey(output), state]]), now, { force: false });
  return { now, rotations: [{ rotation, decision, consumers }] };
}

describe("the last tick", () => {
  // An hour's token of the rotation `app`: due after some 37 minutes, stale after 38.
  const current = present(ourVersion());
  const dailyVersion = ourVersion({ token: aToken({ expiresOn: new Date(epoch + 24 * hours) }) });
  const daily = present(dailyVersion);
  const dailyDue = renewAt(aRotation(), dailyVersion);
  for (const [name, state, now, expected, words] of [
    [
      "fresh outputs need none",
      current,
      epoch + 10 * minutes,
      "ok",
      /Nothing is overdue.*2026-01-01T00:00:00/,
    ],
    ["an output that is due for three ticks", daily, dailyDue + 15 * minutes, "ok", /Nothing is overdue/],
    ["and for longer", daily, dailyDue + 15 * minutes + 1, "warn", /Due for more than 3 ticks: app-token/],
    ["a stale output", current, epoch + 45 * minutes, "fail", /Not renewed in time: app-token/],
    ["an expired output", current, epoch + 2 * hours, "fail", /Not renewed in time: app-token/],
    ["no output yet", { kind: "absent" } as const, epoch, "warn", /No output has been written/],
    [
      "a vault that cannot be read",
      {
        kind: "unknown",
        error: new RotatorError({ code: "X", message: "", remedy: "", retryable: false }),
      } as const,
      epoch,
      "warn",
      /cannot be told/,
    ],
  ] as const) {
    test(name, () => {
      const { state: found, message } = checkTicks(surveyOf(state, now), tickMs);
      assert.equal(found, expected, message);
      assert.match(message, words);
    });
  }
});

test("versions are told at 450, and only of what is ours", () => {
  const withVersions = (sequence: string) => present(ourVersion({ tags: { sequence } }));
  assert.deepEqual(checkVersions(surveyOf(withVersions("449"), epoch)), []);
  const [check] = checkVersions(surveyOf(withVersions("450"), epoch));
  assert.equal(check?.state, "warn");
  assert.equal(check?.check, "versions app-token");
  const foreign = present({ name: "app-token", enabled: true, tags: { sequence: "700" } });
  assert.deepEqual(checkVersions(surveyOf(foreign, epoch)), []);
});

describe("consumers", () => {
  const check = (consumer: Partial<SurveyedConsumer>, state: SecretState = present(ourVersion())) =>
    checkConsumers(
      surveyOf(state, epoch, {
        consumers: [{ name: app, output: "app-token", state: "current", ...consumer }],
      }),
      principal,
    );

  test("one that can be read says so, and what could not be tried", () => {
    const [found, ...more] = check({});
    assert.deepEqual(more, []);
    assert.equal(found?.check, "consumer postgres-mcp");
    assert.equal(found?.state, "ok");
    assert.match(found?.message ?? "", /is current; whether it may be updated and restarted cannot be tried/);
    assert.equal(check({ state: "behind" })[0]?.state, "warn");
  });

  test("one that was not asked is not said to be well", () => {
    const [found] = check({}, { kind: "absent" });
    assert.equal(found?.state, "warn");
    assert.match(found?.message ?? "", /not asked/);
  });

  test("a missing permission comes with the command that grants it", () => {
    const problem = { code: "ConsumerForbidden", message: "No.", remedy: "Grant it.", retryable: false };
    const facts = { action: "Microsoft.App/containerApps/read", scope: app };
    const [found] = check({ state: "unknown", error: new RotatorError(problem, { facts }) });
    assert.equal(found?.state, "fail");
    assert.ok(
      found?.remedy?.includes(
        `az role assignment create --assignee-object-id ${principal.objectId} --assignee-principal-type ServicePrincipal --role "Container Apps Contributor" --scope "${app}"`,
      ),
      found?.remedy,
    );
  });
});

test("a vault's missing role is given on the vault or on the one secret, by the vault's name", () => {
  const problem = { code: "VaultForbidden", message: "No.", remedy: "Grant it.", retryable: false };
  const command = (scope: string, who: Principal | undefined) =>
    roleCommand(new RotatorError(problem, { facts: { role: "Key Vault Secrets User", scope } }), who);
  assert.match(
    command("Microsoft.KeyVault/vaults/kv-test/secrets/a-b", principal) ?? "",
    /--role "Key Vault Secrets User" --scope "\$\(az keyvault show --name kv-test --query id --output tsv\)\/secrets\/a-b"/,
  );
  assert.match(
    command("Microsoft.KeyVault/vaults/kv-test", undefined) ?? "",
    /--assignee-object-id OBJECT-ID .*tsv\)";/,
  );
  assert.equal(roleCommand(new RotatorError({ ...problem, code: "VaultFirewall" }), principal), undefined);
});

describe("clocks", () => {
  const at = (theirs: number) => async () =>
    new Response(null, { status: 401, headers: { date: new Date(theirs).toUTCString() } });
  const clock = { now: () => epoch, sleep: () => new Promise<void>(() => {}) };
  for (const [name, theirs, state, words] of [
    ["the same time", epoch, "ok", /agree within 1 s/],
    ["half a minute less a second", epoch - 29_000, "ok", /agree/],
    ["half a minute behind", epoch + 30_000, "warn", /30 s behind/],
    ["minutes ahead", epoch - 299_000, "warn", /299 s ahead of/],
    ["too far ahead for any token", epoch - 300_000, "fail", /300 s ahead of/],
  ] as const) {
    test(name, async () => {
      const check = await checkClock(vault, clock, at(theirs));
      assert.equal(check.check, "clock kv-test");
      assert.equal(check.state, state);
      assert.match(check.message, words);
    });
  }

  test("no time, no answer", async () => {
    assert.equal((await checkClock(vault, clock, async () => new Response(null))).state, "warn");
    const refused = async () => {
      throw new RotatorError({
        code: "EndpointUnreachable",
        message: "No.",
        remedy: "Wait.",
        retryable: true,
      });
    };
    const check = await checkClock(vault, clock, refused);
    assert.deepEqual([check.state, check.remedy], ["fail", "Wait."]);
  });
});
