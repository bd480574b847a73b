import type { OperationNames } from "./operationNames.ts";
import type { Caller } from "./service.ts";

/** One request as it was served. Never its body, its query, a header or a token. */
export interface RequestRecord {
  /** From 1, in the order in which the calls got past authentication; starts anew after `clear`. */
  readonly sequence: number;
  /** Milliseconds since the epoch, by the host's clock. */
  readonly at: number;
  readonly service: string;
  readonly instance: string | undefined;
  /** `keyvault.setSecret`, `keyvault.challenge`, `keyvault.unknown`. */
  readonly operation: string;
  readonly method: string;
  readonly path: string;
  /** What it was about: a secret's name, a resource. */
  readonly target: string;
  /** The role action that the call needed. */
  readonly action: string | undefined;
  readonly caller: Caller | undefined;
  /** Whether the service did what was asked of it (also when it then refused). */
  readonly effect: boolean;
  /** Absent until it is answered, and for good where the connection was cut. */
  readonly status: number | undefined;
  /** What was injected, in words: `latency 30 ms, 429`. */
  readonly fault: string | undefined;
}

/** Requests that stay readable; the counters are exact however many there were. */
const kept = 10_000;

/** Every request that the embedded Azure was sent. */
export class RequestLog {
  /** Errors of the embedded Azure itself; a test may assert that there were none. */
  readonly defects: unknown[] = [];
  readonly #operations: OperationNames;
  readonly #counts = new Map<string, number>();
  #records: RequestRecord[] = [];
  #total = 0;

  constructor(operations: OperationNames) {
    this.#operations = operations;
  }

  /** Oldest first; the newest 10,000. */
  get all(): readonly RequestRecord[] {
    return this.#records;
  }

  /** How many requests there were. */
  get total(): number {
    return this.#total;
  }

  /** The requests of an operation (`keyvault.setSecret`) or of a service (`keyvault.*`), oldest first. */
  of(operation: string): readonly RequestRecord[] {
    const concerned = this.#operations.matcher(operation);
    return this.#records.filter((record) => concerned(record.operation));
  }

  /** How many requests of that operation, or of that service, there were. */
  count(operation: string): number {
    const concerned = this.#operations.matcher(operation);
    return [...this.#counts].reduce((sum, [name, count]) => (concerned(name) ? sum + count : sum), 0);
  }

  /** Requests by operation. */
  get counts(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.#counts);
  }

  clear(): void {
    this.#records = [];
    this.#counts.clear();
    this.#total = 0;
  }

  /** For the server: notes a request; the server completes the record it returns. */
  begin(seen: Omit<RequestRecord, "sequence" | "effect" | "status" | "fault">): OpenRecord {
    this.#total += 1;
    const record: OpenRecord = {
      ...seen,
      sequence: this.#total,
      effect: false,
      status: undefined,
      fault: undefined,
    };
    this.#counts.set(seen.operation, (this.#counts.get(seen.operation) ?? 0) + 1);
    this.#records.push(record);
    if (this.#records.length > 2 * kept) {
      this.#records = this.#records.slice(-kept);
    }
    return record;
  }
}

export type OpenRecord = { -readonly [Field in keyof RequestRecord]: RequestRecord[Field] };
