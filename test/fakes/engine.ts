import type { Engine, TickOptions } from "../../src/core/engine.ts";
import { runTick } from "../../src/core/engine.ts";
import type { TickReport } from "../../src/core/result.ts";
import type { Rotation } from "../../src/core/rotation.ts";
import { epoch, minutes, vault } from "../builders.ts";
import { VirtualClock } from "../virtualClock.ts";
import { MemoryStore } from "./memoryStore.ts";
import { RecordingTelemetry } from "./recordingTelemetry.ts";

/** The engine over vaults in memory on a virtual clock. */
export class TestEngine implements Engine {
  readonly clock = new VirtualClock(epoch);
  readonly telemetry = new RecordingTelemetry();
  readonly version = "0.0.0-test";
  readonly configuration = "configuration";
  readonly retryBudgetMs = 2 * minutes;
  readonly #stores = new Map<string, MemoryStore>();
  throttled: { vault: string; count: number }[] = [];
  #operations = 0;

  readonly takeThrottled = () => this.throttled.splice(0);

  readonly storeOf = (url: string): MemoryStore => {
    const store = this.#stores.get(url) ?? new MemoryStore(url, this.clock);
    this.#stores.set(url, store);
    return store;
  };

  readonly newOperation = (): string => `operation-${++this.#operations}`;

  get store(): MemoryStore {
    return this.storeOf(vault);
  }

  tick(rotations: readonly Rotation[], options: Partial<TickOptions> = {}): Promise<TickReport> {
    return this.clock.run(runTick(this, rotations, { deadlineMs: 4 * minutes, ...options }));
  }
}
