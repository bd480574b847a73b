import { Command, CommanderError, Option } from "commander";
import { asRotatorError, problems, RotatorError } from "../errors.ts";
import { version } from "../version.ts";
import { errorDocument, printError } from "./errors.ts";
import type { ExitCode, Io } from "./io.ts";
import { printJson } from "./io.ts";

const usageProblems = problems({
  UsageInvalid: {
    message: "The command line is not understood.",
    remedy: "See what stderr says of it, or add --help.",
    retryable: false,
  },
});

/** Commander hands over the options as they are defined below, each command its own. */
type Action = (io: Io, options: never, ...names: never[]) => Promise<number>;

/**
 * Runs one command line and gives its exit code, which is an {@link ExitCode} but for `exec`. Every command stands in a file of its own, which is loaded only when that
 * command is called.
 *
 * @param argv the words after the command's own name.
 */
export async function run(argv: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  const program = createProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(argv, { from: "user" });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) {
      // Asking for help or for the version is no mistake.
      if (error.exitCode === 0) {
        return 0;
      }
      // What is wrong and how to mend it has been printed.
      if (wantsJson(argv)) {
        printJson(io, errorDocument(new RotatorError(usageProblems.UsageInvalid)));
      }
      return 2;
    }
    if (error === io.signal.reason) {
      // Ctrl-C, and whoever pressed it knows.
      return 1;
    }
    printError(io, asRotatorError(error));
    if (wantsJson(argv)) {
      printJson(io, errorDocument(asRotatorError(error)));
    }
    return isConfigurationError(error) ? 2 : 1;
  }
}

function createProgram(io: Io, finish: (code: number) => void): Command {
  const program = new Command("token-rotator")
    .description(
      "Keeps short-lived tokens fresh in Azure Key Vault: what the deployed functions do, by hand, and a look at how things are.",
    )
    .version(version)
    .showHelpAfterError("(add --help for what the command takes)")
    .showSuggestionAfterError()
    .configureOutput({
      writeOut: io.stdout.write,
      writeErr: io.stderr.write,
      getOutHelpWidth: () => io.stdout.columns,
      getErrHelpWidth: () => io.stderr.columns,
      getOutHasColors: () => io.stdout.hasColours,
      getErrHasColors: () => io.stderr.hasColours,
    })
    .exitOverride();

  type Load = () => Promise<{ action: Action }>;
  const defineProgram = (usage: string, description: string, load: Load): Command =>
    program
      .command(usage)
      .description(description)
      .addOption(
        new Option("-c, --config <file>", "the configuration")
          .env("ROTATIONS_FILE")
          .default("rotations.json"),
      )
      .action(async (...parameters: unknown[]) => {
        const options = parameters.at(-2) as never;
        const names = parameters.slice(0, -2) as never[];
        finish(await (await load()).action(io, options, ...names));
      });
  const define = (usage: string, description: string, load: Load): Command =>
    defineProgram(usage, description, load).option(
      "--json",
      "print one JSON document on stdout and nothing else",
    );

  define("validate", "check the configuration and show every problem at once", () => import("./validate.ts"));

  define("plan", "show what a tick would do now, without doing it", () => import("./plan.ts"));

  define(
    "rotate [name...]",
    "run one tick now, for all rotations or for those named",
    () => import("./rotate.ts"),
  )
    .option("--force", "mint although nothing is due")
    .option(
      "--accept-subject",
      "publish a token that speaks for another identity than the version it replaces",
    )
    .addHelpText("after", examples("rotate", "rotate postgres-mcp --force", "rotate --json"));

  define("status", "show how fresh every output is, why, and when it is renewed", () => import("./status.ts"))
    .option("-w, --watch", "keep showing it until Ctrl-C")
    .addHelpText("after", examples("status", "status --watch", "status --json"));

  define("pause <name>", "leave a rotation alone", () => import("./pause.ts"))
    .option(
      "--until <time>",
      "for so long (`2h`) or until then (`2026-12-24T08:00:00Z`); else until `resume`",
    )
    .addHelpText("after", examples("pause postgres-mcp --until 2h"));

  define("resume <name>", "take a paused rotation up again", () => import("./resume.ts"));

  const sharedDirectories = [
    "--shared-directories",
    "also write where others may write, such as a volume that the containers of one pod share",
  ] as const;

  define(
    "pull [name...]",
    "bring the outputs of all rotations, or of those named, to files on this host",
    () => import("./pull.ts"),
  )
    .option("-w, --watch", "keep them up to date until Ctrl-C")
    .option("--exec <command>", "a command line to run after a change; again next time where it fails")
    .addOption(
      new Option(
        "--service <manager>",
        "print a unit that keeps them up to date, and do nothing else",
      ).choices(["systemd", "launchd"]),
    )
    .option(...sharedDirectories)
    .addHelpText(
      "after",
      examples(
        "pull",
        "pull lakebase --watch",
        "pull oracle-adb --exec 'systemctl --user reload app'",
        "pull oci-cli --service systemd > ~/.config/systemd/user/token-rotator-oci-cli.service",
      ),
    );

  defineProgram(
    "exec <name> <command...>",
    "see to it that a rotation's files are fresh, then run a command in place of this one",
    () => import("./exec.ts"),
  )
    .option(...sharedDirectories)
    .addHelpText(
      "after",
      examples("exec oci-cli -- oci os ns get", "exec lakebase -- psql -h db.example.org"),
    );

  define(
    "login <name>",
    "sign in for a rotation that needs somebody's refresh token",
    () => import("./login.ts"),
  )
    .option("--no-browser", "print the address instead of opening a browser")
    .option("--device-code", "sign in on another device, with a code")
    .addOption(
      new Option("--port <number>", "port that the browser comes back to; any free one by default").conflicts(
        ["deviceCode", "fromEnv", "fromFile"],
      ),
    )
    .option("--timeout <duration>", "how long to wait for the sign-in", "10m")
    .addOption(
      new Option(
        "--from-env <variable>",
        "bring the token set that this environment variable holds",
      ).conflicts(["deviceCode", "fromFile"]),
    )
    .addOption(
      new Option("--from-file <file>", "bring the token set that this file holds").conflicts(["deviceCode"]),
    )
    .option("--secret <name>", "which refresh token, where the rotation has several")
    .addHelpText(
      "after",
      examples(
        "login onedrive",
        "login onedrive --device-code",
        "login onedrive --from-file auth_tokens.json",
      ),
    );

  define(
    "manifests [name...]",
    "write Kubernetes manifests for the rotations that pods read",
    () => import("./manifests.ts"),
  )
    .option("-o, --out <directory>", "write a file for each rotation instead of printing all")
    .option("--offline", "do not look whether the secrets exist")
    .option("--sidecar", "for clusters without the CSI driver: pods with a container that pulls")
    .option("--cronjob", "the rotator as a CronJob, in place of the function app")
    .option(
      "--image <image>",
      "image of --sidecar and --cronjob (default: keyvault-token-rotator and the version)",
    )
    .addHelpText(
      "after",
      examples(
        "manifests | kubectl apply --dry-run=server -f -",
        "manifests oracle-adb --out kubernetes",
        "manifests --sidecar --cronjob --image registry.example.org/token-rotator:1",
      ),
    );

  define(
    "doctor",
    "find out what is wrong, and how to mend it; nothing is changed",
    () => import("./doctor.ts"),
  ).addHelpText("after", examples("doctor", "doctor --json"));

  const collect = (value: string, before: readonly string[]) => [...before, value];
  define(
    "simulate",
    "run the rotations through virtual time, with faults, and show what their readers would see",
    () => import("./simulate.ts"),
  )
    .option("--days <number>", "virtual days", "30")
    .addOption(new Option("--year", "365 days").conflicts("days"))
    .option("--seed <number>", "decides when what goes wrong; equal seeds, equal runs", "1")
    .option(
      "--outage <place:duration>",
      "identity, vault, provider, apps or timer out of order for so long, once a day (`vault:30m/7d`: once a week)",
      collect,
      [],
    )
    .option("--ticks-lost <percent>", "ticks that never happen", "0%")
    .option("--ticks-killed <percent>", "ticks in which the process is killed", "0%")
    .option("--calls-failed <percent>", "calls that fail, and are tried again; 25% at most", "0%")
    .option("--clock-skew <duration>", "how far the function app's clock may be off; 5m at most")
    .option("--chaos", "all that people and platforms do: deleted secrets, crashing apps, silent timers")
    .addHelpText(
      "after",
      examples(
        "simulate",
        "simulate --year --outage identity:2h --ticks-lost 30%",
        "simulate --chaos --seed 7",
      ),
    );

  define("local", "boot an Azure on this machine, for any Azure SDK", () => import("./local.ts"))
    .option("--functions", "run the deployed functions on it too, for a sample configuration")
    .option("--once", "with --functions: one tick, its result, and the end")
    .option("--state <directory>", "where certificates, timers and mounted files are kept", ".local")
    .addHelpText("after", examples("local", "local --functions", "local --functions --once --json"));

  return program;
}

function examples(...lines: string[]): string {
  return ["", "Examples:", ...lines.map((line) => `  token-rotator ${line}`)].join("\n");
}

/** Also where the command line could not be understood. What follows `--` is somebody else's. */
function wantsJson(argv: readonly string[]): boolean {
  const own = argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv;
  return own.includes("--json");
}

function isConfigurationError(error: unknown): boolean {
  return asRotatorError(error).stage === "configure";
}
