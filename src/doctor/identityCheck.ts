import { decodeJwt } from "../checks/jwt.ts";
import type { Identity, IdentityCredential } from "../identity.ts";
import { SecretValue } from "../secretValue.ts";
import { type Check, failed } from "./check.ts";
import type { Principal } from "./roleCommand.ts";

export interface IdentityFinding {
  readonly check: Check;
  /** Absent where there is no token. */
  readonly principal?: Principal;
  readonly hasToken: boolean;
}

/** Which identity the checks run as, and whether it gets a token for a vault. */
export async function checkIdentity(
  identity: Identity,
  credential: () => Promise<IdentityCredential>,
  vault: string,
): Promise<IdentityFinding> {
  try {
    const { token } = await (await credential()).getToken(vaultScope(vault));
    const { oid, appid, tid, ...names } = decodeJwt(new SecretValue(token))?.claims ?? {};
    const ids = Object.entries({ object: oid, client: appid, tenant: tid }).flatMap(([name, id]) =>
      typeof id === "string" && /^[\w-]{1,64}$/.test(id) ? [`${name} ${id}`] : [],
    );
    const whose =
      identity.kind === "developer"
        ? "; what follows is about it, not about the identity of the deployed rotator"
        : "";
    const principal: Principal | undefined =
      typeof oid === "string" && /^[\w-]{1,64}$/.test(oid)
        ? { objectId: oid, type: isPerson(names) ? "User" : "ServicePrincipal" }
        : undefined;
    return {
      check: {
        check: "identity",
        state: "ok",
        message: `Runs as ${identity.description} (${ids.join(", ")})${whose}.`,
      },
      ...(principal === undefined ? {} : { principal }),
      hasToken: true,
    };
  } catch (error) {
    return { check: failed("identity", error), hasToken: false };
  }
}

/** Only tokens of people carry a name; `idtyp` is not in every token. */
function isPerson({ idtyp, upn, unique_name }: Readonly<Record<string, unknown>>): boolean {
  return idtyp === "user" || upn !== undefined || unique_name !== undefined;
}

/** The resource of Key Vault in the vault's cloud; an embedded vault is one of the public cloud. */
function vaultScope(vault: string): string {
  const { hostname } = new URL(vault);
  const suffix = ["vault.azure.cn", "vault.usgovcloudapi.net"].find((each) => hostname.endsWith(`.${each}`));
  return `https://${suffix ?? "vault.azure.net"}/.default`;
}
