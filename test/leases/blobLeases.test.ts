import assert from "node:assert/strict";
import { after, afterEach, before, beforeEach, describe, it } from "node:test";
import { setImmediate } from "node:timers/promises";
import type { TokenCredential } from "@azure/identity";
import { BlockBlobClient } from "@azure/storage-blob";
import { RotatorError } from "../../src/errors.ts";
import { createBlobLeases } from "../../src/leases/blobLeases.ts";
import { createLeases } from "../../src/leases/leases.ts";
import { type EmbeddedAzure, startEmbeddedAzure } from "../../src/local/azure.ts";
import { type EmbeddedBlobs, startBlobs } from "../../src/local/blobs.ts";
import type { CallContext, Leases } from "../../src/ports.ts";
import { credential, firstIdentity } from "../local/support.ts";
import { assertSilent, failure } from "../oauth/setup.ts";
import { VirtualClock } from "../virtualClock.ts";
import { type Azurite, startAzurite } from "./azurite.ts";

/** A blob service whose clock a test moves. */
interface Service {
  readonly containerUrl: string;
  readonly credential: TokenCredential;
  advance(ms: number): Promise<void>;
}

/** A process that holds leases. Its clock is its own: one that nobody moves is a process that stands still, or is dead. */
interface Process {
  readonly leases: Leases;
  readonly clock: VirtualClock;
}

/** A lease in somebody's hands. */
interface Held {
  readonly signal: AbortSignal;
  /** Lets the work end and the lease go. */
  end(error?: Error): Promise<void>;
}

let azure: EmbeddedAzure;
let trust: Disposable;
let blobs: EmbeddedBlobs;
let azurite: Azurite;
let embedded: Service;
/** Of the embedded service. */
const serviceClock = new VirtualClock();
let name: string;
let count = 0;

before(async () => {
  azure = await startEmbeddedAzure({ clock: serviceClock });
  trust = azure.trustInThisProcess();
  [blobs, azurite] = await Promise.all([startBlobs(azure, azure.issuer), startAzurite(azure.tls)]);
  embedded = {
    containerUrl: blobs.leaseContainerUrl,
    credential: credential(azure),
    advance: (ms) => serviceClock.advance(ms),
  };
});
after(async () => {
  await azurite?.[Symbol.asyncDispose]();
  await azure.stop();
  trust[Symbol.dispose]();
  assert.deepEqual(azure.requests.defects, []);
});
beforeEach(() => {
  count += 1;
  name = `vault.example.org/refresh-token-${count}`;
});
afterEach(() => {
  azure.faults.clear();
  azure.requests.clear();
});

function aProcess(service: Service): Process {
  const clock = new VirtualClock();
  const { containerUrl, credential } = service;
  return { clock, leases: createBlobLeases({ containerUrl, clock, credential: async () => credential }) };
}

function aContext(signal = new AbortController().signal): CallContext {
  return { signal, giveUpAt: 0 };
}

/** Resolves once the lease is held. */
async function hold({ leases }: Process, lease = name, context = aContext()): Promise<Held> {
  const begun = Promise.withResolvers<AbortSignal>();
  const ending = Promise.withResolvers<void>();
  const held = leases.hold(lease, context, (signal) => {
    begun.resolve(signal);
    return ending.promise;
  });
  held.catch(begun.reject);
  const signal = await begun.promise;
  return {
    signal,
    end: async (error) => {
      error === undefined ? ending.resolve() : ending.reject(error);
      await held;
    },
  };
}

async function isRefused(process: Process, lease = name): Promise<void> {
  const error = await failure(
    process.leases.hold(lease, aContext(), () => assert.fail("two hold the lease")),
  );
  assert.deepEqual([error.code, error.retryable, error.facts], ["LeaseHeld", true, { lease }]);
}

async function isFree(process: Process, lease = name): Promise<void> {
  assert.equal(await process.leases.hold(lease, aContext(), async () => "held"), "held");
}

/** Lets ten seconds pass for the process, and waits until it has renewed its lease. */
async function renew({ clock }: Process): Promise<void> {
  await clock.advance(10_000);
  while (clock.nextDueAt !== clock.now() + 10_000) {
    await setImmediate();
  }
}

/** Lets ten seconds pass for the process, and waits until it has learned that its lease is lost. */
async function loss({ clock }: Process, { signal }: Held): Promise<RotatorError> {
  await clock.advance(10_000);
  while (!signal.aborted) {
    await setImmediate();
  }
  assert.ok(signal.reason instanceof RotatorError);
  return signal.reason;
}

describe("the embedded blob service", () => contract(() => embedded));
describe("Azurite", () => contract(() => azurite));

/** What holds against any blob service. */
function contract(serviceOf: () => Service): void {
  it("lets one process work at a time, and the next one when that is done", async () => {
    const [one, other] = [aProcess(serviceOf()), aProcess(serviceOf())];
    const held = await hold(one);
    await isRefused(other);
    await held.end();
    await isFree(other);
    await isFree(one);
  });

  it("lets the lease go when the work fails, and passes on why", async () => {
    const [one, other] = [aProcess(serviceOf()), aProcess(serviceOf())];
    const held = await hold(one);
    await assert.rejects(held.end(new Error("no luck")), /no luck/);
    await isFree(other);
  });

  it("is kept apart by name, whatever the names are", async () => {
    const process = aProcess(serviceOf());
    const names = [
      "a/b",
      "a_b",
      "A/b",
      "../../a",
      "a?b#c&d=%2e",
      "ä\u2028\0",
      "",
      "x".repeat(5_000),
      `${name}.`,
    ];
    const held = [];
    for (const each of names) {
      held.push(await hold(aProcess(serviceOf()), each));
    }
    for (const each of names) {
      await isRefused(process, each);
    }
    await Promise.all(held.map((each) => each.end()));
  });

  it("is renewed for as long as the work takes", async () => {
    const service = serviceOf();
    const [one, other] = [aProcess(service), aProcess(service)];
    const held = await hold(one);
    for (let passed = 0; passed < 60_000; passed += 10_000) {
      await service.advance(10_000);
      await renew(one);
    }
    await isRefused(other);
    assert.equal(held.signal.aborted, false);
    await held.end();
    assert.equal(one.clock.sleeping, 0);
  });

  it("runs out when the holder is dead", async () => {
    const service = serviceOf();
    const [dead, other] = [aProcess(service), aProcess(service)];
    await hold(dead);
    await service.advance(28_000);
    await isRefused(other);
    await service.advance(2_001);
    await isFree(other);
  });

  it("is lost by a holder that stood still, who then leaves it to whoever has it", async () => {
    const service = serviceOf();
    const [stunned, other, third] = [aProcess(service), aProcess(service), aProcess(service)];
    const held = await hold(stunned);
    await service.advance(30_001);
    const next = await hold(other);
    const error = await loss(stunned, held);
    assert.deepEqual([error.code, error.retryable, error.facts], ["LeaseLost", true, { lease: name }]);
    await assert.rejects(held.end(error), error);
    await isRefused(third);
    await next.end();
  });

  it("is lost when somebody breaks it", async () => {
    const service = serviceOf();
    const one = aProcess(service);
    const held = await hold(one);
    await renew(one);
    await breakLease(service);
    assert.equal((await loss(one, held)).code, "LeaseLost");
    // What the work gives counts all the same: it knows best.
    await held.end();
    await isFree(aProcess(service));
  });

  it("needs a container that is there", async () => {
    const { credential, containerUrl } = serviceOf();
    const elsewhere = aProcess({ ...serviceOf(), credential, containerUrl: `${containerUrl}-not` });
    const error = await failure(elsewhere.leases.hold(name, aContext(), () => assert.fail()));
    assert.equal(error.code, "LeaseContainerMissing");
    assert.match(error.remedy, /az storage container create/);
  });
}

async function breakLease({ containerUrl, credential }: Service): Promise<void> {
  const blob = `vault.example.org_refresh-token-${count}_`;
  const found = containerUrl === embedded.containerUrl ? embeddedBlob(blob) : await azuriteBlob(blob);
  const client = new BlockBlobClient(`${containerUrl}/${found}`, credential);
  await client.getBlobLeaseClient().breakLease(0);
}

function embeddedBlob(prefix: string): string {
  const [record] = azure.requests.of("blobs.put").filter(({ path }) => path.includes(prefix));
  return record?.path.split("/").at(-1) ?? "";
}

async function azuriteBlob(prefix: string): Promise<string> {
  const { ContainerClient } = await import("@azure/storage-blob");
  const container = new ContainerClient(azurite.containerUrl, azurite.credential);
  for await (const blob of container.listBlobsFlat({ prefix })) {
    return blob.name;
  }
  return assert.fail("no such blob");
}

describe("a lease of a blob", () => {
  it("is got again by a process whose first call was carried out and not answered", async () => {
    const one = aProcess(embedded);
    await isFree(one);
    azure.faults.inject({ operation: "blobs.put", match: /^acquire/, kind: "lostResponse", times: 1 });
    const work = () => assert.fail("it knows of no lease");
    assert.equal((await failure(one.leases.hold(name, aContext(), work))).code, "LeaseStoreUnreachable");
    await isRefused(aProcess(embedded));
    await isFree(one);
  });

  it("is passed on with the caller's signal, and let go although the caller has given up", async () => {
    const one = aProcess(embedded);
    const caller = new AbortController();
    const held = await hold(one, name, aContext(caller.signal));
    caller.abort(new Error("time is up"));
    assert.match(String(held.signal.reason), /time is up/);
    await held.end();
    await isFree(aProcess(embedded));
    await assert.rejects(
      one.leases.hold(name, aContext(caller.signal), () => assert.fail("nobody wants it")),
      /time is up/,
    );
  });
});

describe("what keeps from asking for a lease", () => {
  const refusals = [
    { status: 403, code: "AuthorizationPermissionMismatch", expected: "LeaseForbidden", retryable: false },
    { status: 401, code: "InvalidAuthenticationInfo", expected: "LeaseForbidden", retryable: false },
    { status: 404, code: "ContainerNotFound", expected: "LeaseContainerMissing", retryable: false },
    { status: 409, code: "ContainerBeingDeleted", expected: "LeaseStoreRefused", retryable: false },
    { status: 429, code: "TooManyRequests", expected: "LeaseStoreUnavailable", retryable: true },
    { status: 503, code: "ServerBusy", expected: "LeaseStoreUnavailable", retryable: true },
  ] as const;
  for (const { status, code, expected, retryable } of refusals) {
    it(`is told: ${status} ${code}`, async () => {
      azure.faults.inject({
        operation: "blobs.put",
        kind: "answer",
        status,
        retryAfter: 7,
        headers: { "x-ms-error-code": code },
        body: "<html>canary</html>",
      });
      const error = await failure(aProcess(embedded).leases.hold(name, aContext(), () => assert.fail()));
      assert.deepEqual([error.code, error.retryable], [expected, retryable]);
      assert.deepEqual([error.facts.httpStatus, error.facts.errorCode], [status, code]);
      assert.equal(error.retryAfterMs, retryable ? 7_000 : undefined);
      assert.equal(azure.requests.count("blobs.put"), 1, "retrying is the caller's");
    });
  }

  it("names the role and the scope that are missing", async () => {
    azure.faults.inject({ operation: "blobs.put", kind: "answer", status: 403 });
    const { facts } = await failure(aProcess(embedded).leases.hold(name, aContext(), () => assert.fail()));
    assert.equal(facts.role, "Storage Blob Data Contributor");
    assert.match(
      String(facts.scope),
      /^Microsoft\.Storage\/storageAccounts\/[^/]+\/blobServices\/default\/containers\//,
    );
  });

  it("is a token for another audience", async () => {
    const token = await azure.issuer.issue(
      firstIdentity(azure),
      "https://vault.azure.net",
      3600,
      serviceClock.now(),
    );
    const credential = {
      getToken: async () => ({ token: token.value.reveal(), expiresOnTimestamp: Number.MAX_SAFE_INTEGER }),
    };
    const error = await failure(
      aProcess({ ...embedded, credential }).leases.hold(name, aContext(), () => assert.fail()),
    );
    assert.deepEqual([error.code, error.facts.httpStatus], ["LeaseForbidden", 401]);
    assertSilent(error, token.value.reveal());
  });

  it("is a connection that cannot be made", async () => {
    const nowhere = aProcess({ ...embedded, containerUrl: "https://127.0.0.1:1/account/leases" });
    const error = await failure(nowhere.leases.hold(name, aContext(), () => assert.fail()));
    assert.deepEqual([error.code, error.retryable], ["LeaseStoreUnreachable", true]);
    assert.equal(error.facts.errorCode, "ECONNREFUSED");
  });

  it("is an identity that gets no token, which is asked again the next time", async () => {
    const cause = new RotatorError({ code: "NoIdentity", message: "m", remedy: "r", retryable: true });
    let asked = 0;
    const leases = createBlobLeases({
      containerUrl: embedded.containerUrl,
      clock: new VirtualClock(),
      credential: async () => {
        asked += 1;
        return asked === 1
          ? Promise.reject(cause)
          : {
              getToken: async (...request) => {
                asked += 1;
                return asked === 3 ? Promise.reject(cause) : embedded.credential.getToken(...request);
              },
            };
      },
    });
    assert.equal(await failure(leases.hold(name, aContext(), () => assert.fail())), cause);
    assert.equal(await failure(leases.hold(name, aContext(), () => assert.fail())), cause);
    assert.equal(await leases.hold(name, aContext(), async () => "held"), "held");
  });

  for (const containerUrl of [
    "leases",
    "http://account.blob.core.windows.net/leases",
    "https://account.blob.core.windows.net/",
    "https://account.blob.core.windows.net/leases?sv=2025-11-05&sig=canary",
    "https://user:canary@account.blob.core.windows.net/leases",
    "https://account.blob.core.windows.net/leases#x",
  ]) {
    it(`is an address that is none of a container: ${containerUrl}`, async () => {
      const { leases } = aProcess({ ...embedded, containerUrl });
      const error = await failure(leases.hold(name, aContext(), () => assert.fail()));
      assert.equal(error.code, "LeaseContainerUrlInvalid");
      assert.ok(!error.summary.includes("canary"));
    });
  }

  it("is not a slash at the end of the address", async () => {
    await isFree(aProcess({ ...embedded, containerUrl: `${embedded.containerUrl}/` }));
  });
});

describe("the leases of a process", () => {
  function leasesOf(environment: Readonly<Record<string, string>>): Leases {
    return createLeases({
      environment,
      credential: async () => embedded.credential,
      clock: new VirtualClock(),
    });
  }

  it("keep its own runs apart without a call", async () => {
    const leases = leasesOf({ LEASE_CONTAINER_URL: embedded.containerUrl });
    const held = await hold({ leases, clock: new VirtualClock() });
    const calls = azure.requests.count("blobs.*");
    await isRefused({ leases, clock: new VirtualClock() });
    assert.equal(azure.requests.count("blobs.*"), calls);
    await held.end();
  });

  it("keep it apart from others where a container is named", async () => {
    const leases = leasesOf({ LEASE_CONTAINER_URL: embedded.containerUrl });
    const held = await hold({ leases, clock: new VirtualClock() });
    await isRefused(aProcess(embedded));
    await held.end();
    await isFree(aProcess(embedded));
  });

  for (const environment of [{}, { LEASE_CONTAINER_URL: "" }]) {
    it(`know nothing of others where none is named: ${JSON.stringify(environment)}`, async () => {
      const process = { leases: leasesOf(environment), clock: new VirtualClock() };
      const held = await hold(process);
      await isRefused(process);
      await held.end();
      await isFree(process);
      assert.equal(azure.requests.count("blobs.*"), 0);
    });
  }
});
