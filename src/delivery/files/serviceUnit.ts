export const serviceManagers = ["systemd", "launchd"] as const;
export type ServiceManager = (typeof serviceManagers)[number];

export interface Service {
  /** Names it where several run. */
  readonly name: string;
  /** Program and arguments; paths absolute. */
  readonly command: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
}

export interface ServiceUnit {
  readonly unit: string;
  /** Where the manager looks for it, as a shell writes the path. */
  readonly file: string;
  /** The commands that start it once it is there. */
  readonly start: readonly string[];
}

/** A unit that runs a command for the user who is signed in, and starts it again whenever it ends. */
export function serviceUnit(manager: ServiceManager, service: Service): ServiceUnit {
  return manager === "systemd" ? systemdUnit(service) : launchdUnit(service);
}

/** https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html */
function systemdUnit({ name, command, environment }: Service): ServiceUnit {
  const unit = `token-rotator-${name}.service`;
  const lines = [
    "[Unit]",
    `Description=Keeps token files up to date (${name})`,
    "",
    "[Service]",
    // Not Type=notify: what it does first may take as long as the vault is out of reach.
    "Type=exec",
    `ExecStart=${command.map(systemdWord).join(" ")}`,
    ...Object.entries(environment).map(
      ([variable, value]) => `Environment=${systemdQuoted(`${variable}=${value}`)}`,
    ),
    "Restart=always",
    "RestartSec=30",
    "UMask=0077",
    "NoNewPrivileges=yes",
    "",
    "[Install]",
    "WantedBy=default.target",
    "",
  ];
  return {
    unit: lines.join("\n"),
    file: `~/.config/systemd/user/${unit}`,
    start: [
      "systemctl --user daemon-reload",
      `systemctl --user enable --now ${unit}`,
      'loginctl enable-linger "$USER"',
    ],
  };
}

/** A word of a command line: also with variables that are not to be replaced. */
function systemdWord(text: string): string {
  return systemdQuoted(text).replaceAll("$", "$$$$");
}

function systemdQuoted(text: string): string {
  const escaped = text.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n").replaceAll("%", "%%");
  return `"${escaped}"`;
}

/** https://developer.apple.com/library/archive/documentation/MacOSX/Conceptual/BPSystemStartup/Chapters/CreatingLaunchdJobs.html */
function launchdUnit({ name, command, environment }: Service): ServiceUnit {
  const label = `keyvault-token-rotator.${name}`;
  const file = `~/Library/LaunchAgents/${label}.plist`;
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    '<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">',
    '<plist version="1.0">',
    "<dict>",
    "  <key>Label</key>",
    `  <string>${xml(label)}</string>`,
    "  <key>ProgramArguments</key>",
    "  <array>",
    ...command.map((word) => `    <string>${xml(word)}</string>`),
    "  </array>",
    "  <key>EnvironmentVariables</key>",
    "  <dict>",
    ...Object.entries(environment).flatMap(([variable, value]) => [
      `    <key>${xml(variable)}</key>`,
      `    <string>${xml(value)}</string>`,
    ]),
    "  </dict>",
    "  <key>RunAtLoad</key>",
    "  <true/>",
    "  <key>KeepAlive</key>",
    "  <true/>",
    "  <key>ThrottleInterval</key>",
    "  <integer>30</integer>",
    "  <key>Umask</key>",
    // The plist has no octal numbers.
    `  <integer>${0o077}</integer>`,
    "</dict>",
    "</plist>",
    "",
  ];
  return { unit: lines.join("\n"), file, start: [`launchctl bootstrap "gui/$UID" ${file}`] };
}

function xml(text: string): string {
  const entities: Readonly<Record<string, string>> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (character) => entities[character] ?? character);
}
