import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** What the runtime remembers of a timer between two starts. Milliseconds since the epoch. */
export interface TimerStatus {
  /** When it last fired; absent while it never has. */
  readonly last?: number;
  readonly next: number;
  /** What `next` was computed from. */
  readonly lastUpdated?: number;
}

/** Remembers the status of timers. The runtime keeps a blob `timers/{host}/{timer}/status`; here it is a file. */
export interface TimerStatuses {
  /** `undefined` where none is recorded or the record cannot be read. */
  read(timer: string): Promise<TimerStatus | undefined>;
  write(timer: string, status: TimerStatus): Promise<void>;
}

export function timerStatusFiles(directory: string): TimerStatuses {
  const fileOf = (timer: string) => join(directory, `${timer}.status.json`);
  return {
    read: async (timer) => {
      const text = await readFile(fileOf(timer), "utf8").catch(() => undefined);
      return text === undefined ? undefined : parseStatus(text);
    },
    write: async (timer, status) => {
      await mkdir(directory, { recursive: true });
      // Renamed into place: a host that is killed while it writes must not leave half a record.
      await writeFile(`${fileOf(timer)}.new`, `${JSON.stringify(timerStatusOnTheWire(status))}\n`);
      await rename(`${fileOf(timer)}.new`, fileOf(timer));
    },
  };
}

/** As the runtime stores the status and hands it to the function: .NET's names, and year 1 for "never". */
export function timerStatusOnTheWire(status: TimerStatus) {
  return {
    Last: dateTime(status.last),
    Next: dateTime(status.next),
    LastUpdated: dateTime(status.lastUpdated),
  };
}

const never = "0001-01-01T00:00:00+00:00";

function dateTime(time: number | undefined): string {
  return time === undefined ? never : new Date(time).toISOString().replace("Z", "+00:00");
}

function parseStatus(text: string): TimerStatus | undefined {
  try {
    const { Last, Next, LastUpdated } = JSON.parse(text) as Record<string, string>;
    const [last, next, lastUpdated] = [Last, Next, LastUpdated].map((value) => Date.parse(value ?? ""));
    if (next === undefined || Number.isNaN(next)) {
      return undefined;
    }
    return { next, ...recorded("last", last), ...recorded("lastUpdated", lastUpdated) };
  } catch {
    return undefined;
  }
}

function recorded<Name extends string>(name: Name, time: number | undefined) {
  return time === undefined || Number.isNaN(time) || time <= Date.parse(never)
    ? {}
    : ({ [name]: time } as Record<Name, number>);
}
