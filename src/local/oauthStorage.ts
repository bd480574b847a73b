import type { Adapter, AdapterPayload } from "oidc-provider";
import { systemClock } from "../clock.ts";

/**
 * What an authorization server remembers: codes, refresh tokens, grants, sessions. In memory, one per server.
 *
 * oidc-provider reads the machine's clock. What it stores is therefore moved to the server's own time on its way in and
 * back to the machine's on its way out, so that a refresh token expires when that clock says so.
 */
export class OAuthStorage {
  readonly #records = new Map<string, StoredRecord>();
  readonly #now: () => number;
  readonly #refreshTokens: "once" | "kept";

  /**
   * @param now The server's own time in milliseconds since the epoch.
   * @param refreshTokens Whether the use of a refresh token spends it.
   */
  constructor(now: () => number, refreshTokens: "once" | "kept") {
    this.#now = now;
    this.#refreshTokens = refreshTokens;
  }

  /** Seconds by which the server's own time is ahead of the machine's. */
  get aheadBy(): number {
    return Math.floor(this.#now() / 1000) - Math.floor(systemClock.now() / 1000);
  }

  /** Forgets everything of a kind: `RefreshToken`, as an administrator does who revokes all of them. */
  forget(kind: string): void {
    for (const key of this.#records.keys()) {
      if (key.startsWith(`${kind}:`)) {
        this.#records.delete(key);
      }
    }
  }

  adapter(kind: string): Adapter {
    const keyOf = (id: string) => `${kind}:${id}`;
    const read = (record: StoredRecord | undefined) =>
      record === undefined ? undefined : moved(record.payload, record.aheadBy - this.aheadBy);
    const findBy = async (field: "uid" | "userCode", value: string) => {
      const entries = [...this.#records];
      const found = entries.find(
        ([key, { payload }]) => key.startsWith(`${kind}:`) && payload[field] === value,
      );
      return read(found?.[1]);
    };
    return {
      upsert: async (id, payload) => {
        this.#sweep();
        this.#records.set(keyOf(id), { payload, aheadBy: this.aheadBy });
      },
      find: async (id) => read(this.#records.get(keyOf(id))),
      findByUid: (uid) => findBy("uid", uid),
      findByUserCode: (userCode) => findBy("userCode", userCode),
      consume: async (id) => {
        const record = this.#records.get(keyOf(id));
        const isKept = kind === "RefreshToken" && this.#refreshTokens === "kept";
        if (record !== undefined && !isKept) {
          record.payload = { ...record.payload, consumed: true };
        }
      },
      destroy: async (id) => {
        this.#records.delete(keyOf(id));
      },
      revokeByGrantId: async (grantId) => {
        for (const [key, { payload }] of this.#records) {
          if (payload.grantId === grantId) {
            this.#records.delete(key);
          }
        }
      },
    };
  }

  #sweep(): void {
    const now = Math.floor(this.#now() / 1000);
    for (const [key, { payload, aheadBy }] of this.#records) {
      if (payload.exp !== undefined && payload.exp + aheadBy + sweptAfterSeconds < now) {
        this.#records.delete(key);
      }
    }
  }
}

/** Kept a while, so that the answer is "expired" rather than "unknown". */
const sweptAfterSeconds = 86_400;

interface StoredRecord {
  payload: AdapterPayload;
  readonly aheadBy: number;
}

function moved(payload: AdapterPayload, seconds: number): AdapterPayload {
  const result = { ...payload };
  for (const field of ["exp", "iat", "iiat", "loginTs", "authTime"] as const) {
    const time = result[field];
    if (typeof time === "number") {
      result[field] = time + seconds;
    }
  }
  return result;
}
