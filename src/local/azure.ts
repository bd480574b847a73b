import { randomUUID } from "node:crypto";
import { systemClock } from "../clock.ts";
import type { Clock } from "../ports.ts";
import { createCertificateAuthority, trustInThisProcess } from "./certificateAuthority.ts";
import { Faults } from "./faults.ts";
import {
  type IdentityEndpoint,
  type ManagedIdentity,
  startIdentityEndpoint,
  type TokenPolicy,
} from "./identityEndpoint.ts";
import { generateSigningKey, type Issuer, type Resource, startIssuer } from "./issuer.ts";
import { type EmbeddedVault, startKeyVault, type VaultOptions } from "./keyVault.ts";
import { OperationNames } from "./operationNames.ts";
import { RequestLog } from "./requestLog.ts";
import { listen } from "./server.ts";
import type { EmbeddedHost, EmbeddedService } from "./service.ts";

export interface EmbeddedAzureOptions {
  /** Default the machine's clock. */
  readonly clock?: Clock;
  /** What the function app carries. Default one user-assigned identity, as `infra` deploys it. */
  readonly identities?: readonly ManagedIdentity[];
  /** Default 24 hours, renewed by the platform at half of it. */
  readonly tokens?: TokenPolicy;
  /** Applications that the tenant knows beside those of Azure itself: the audience of every custom scope. */
  readonly resources?: readonly Resource[];
  /** Default one vault named `local`. */
  readonly vaults?: readonly VaultOptions[];
  /** Default an ephemeral port. */
  readonly identityPort?: number;
  /** Where to write the authority's certificate, for other processes. Default nowhere. */
  readonly caCertificateFile?: string;
}

/** An Azure in this process: listeners on 127.0.0.1, state in memory, nothing left behind. */
export interface EmbeddedAzure extends AsyncDisposable {
  readonly clock: Clock;
  readonly faults: Faults;
  readonly requests: RequestLog;
  readonly issuer: Issuer;
  readonly identity: IdentityEndpoint;
  /** The first vault: the one in `KEY_VAULT_URL`. */
  readonly vault: EmbeddedVault;
  /** By name. */
  readonly vaults: ReadonlyMap<string, EmbeddedVault>;
  readonly caCertificatePem: string;
  /** For listeners that are not HTTP; see {@link EmbeddedHost.tls}. */
  readonly tls: EmbeddedHost["tls"];
  /**
   * What Azure and the deployment would put into the function app's environment. `NODE_EXTRA_CA_CERTS` is in it where
   * the certificate was written to a file; Node.js reads it only when a process starts.
   */
  readonly environment: Readonly<Record<string, string>>;
  /** Makes the TLS clients of this process trust the embedded Azure until disposed of. */
  trustInThisProcess(): Disposable;
  /** Adds a service of the caller's own, with TLS, faults and log. Returns its URL without a trailing slash. */
  serve(service: EmbeddedService): Promise<string>;
  stop(): Promise<void>;
}

/** @throws RotatorError `PortUnavailable` */
export async function startEmbeddedAzure(options: EmbeddedAzureOptions = {}): Promise<EmbeddedAzure> {
  // Under way while the certificates are made.
  const signingKey = generateSigningKey();
  const vaultOptions = options.vaults ?? [{ name: "local" }];
  const authority = await createCertificateAuthority(vaultOptions.map(({ name }) => `${name}.localhost`));
  const clock = options.clock ?? systemClock;
  const operations = new OperationNames();
  const stops: (() => void | Promise<void>)[] = [];
  const host: EmbeddedHost = {
    clock,
    faults: new Faults(operations),
    requests: new RequestLog(operations),
    tls: authority.leaf,
    serve: async (service) => {
      const listener = await listen(service, host);
      operations.add(service);
      stops.push(listener.stop);
      return listener.url;
    },
    onStop: (stop) => void stops.push(stop),
  };
  const stop = async () => {
    await Promise.all(stops.splice(0).map((each) => each()));
  };

  try {
    const resources = options.resources === undefined ? {} : { resources: options.resources };
    const issuer = await startIssuer(host, { tenantId: randomUUID(), signingKey, ...resources });
    const identities = options.identities ?? [userAssignedIdentity("token-rotator")];
    const identity = await startIdentityEndpoint(host, issuer, {
      identities,
      ...(options.tokens === undefined ? {} : { policy: options.tokens }),
      ...(options.identityPort === undefined ? {} : { port: options.identityPort }),
    });
    const vaults = new Map<string, EmbeddedVault>();
    for (const vault of vaultOptions) {
      vaults.set(vault.name, await startKeyVault(host, issuer, vault));
    }
    const [vault] = vaults.values();
    if (vault === undefined) {
      throw new RangeError("The embedded Azure needs at least one vault.");
    }
    if (options.caCertificateFile !== undefined) {
      await authority.writeCertificate(options.caCertificateFile);
    }
    const userAssigned = identities.find(({ kind }) => kind === "user");
    return {
      clock,
      faults: host.faults,
      requests: host.requests,
      issuer,
      identity,
      vault,
      vaults,
      caCertificatePem: authority.certificatePem,
      tls: host.tls,
      environment: {
        IDENTITY_ENDPOINT: identity.url,
        IDENTITY_HEADER: identity.header,
        AZURE_AUTHORITY_HOST: issuer.url,
        KEY_VAULT_URL: vault.url,
        ...(userAssigned === undefined ? {} : { AZURE_CLIENT_ID: userAssigned.clientId }),
        ...(options.caCertificateFile === undefined
          ? {}
          : { NODE_EXTRA_CA_CERTS: options.caCertificateFile }),
      },
      trustInThisProcess: () => trustInThisProcess(authority.certificatePem),
      serve: host.serve,
      stop,
      [Symbol.asyncDispose]: stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** A user-assigned identity with new ids, for {@link EmbeddedAzureOptions.identities}. */
export function userAssignedIdentity(name: string): ManagedIdentity {
  return {
    kind: "user",
    objectId: randomUUID(),
    clientId: randomUUID(),
    resourceId: `/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/local/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`,
  };
}

/** The system-assigned identity with new ids. */
export function systemAssignedIdentity(): ManagedIdentity {
  return {
    kind: "system",
    objectId: randomUUID(),
    clientId: randomUUID(),
    resourceId:
      "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/local/providers/Microsoft.Web/sites/token-rotator",
  };
}
