import type { PlanRow } from "../../core/survey.ts";
import type { ConsumerStateName, Freshness, Outcome, Reason } from "../../events.ts";

/** What colours a thing: the colour is never the only sign of it. */
export type Tone = "bad" | "warn" | "busy" | "good" | "idle";

export const freshnessTones: Readonly<Record<Freshness, Tone>> = {
  expired: "bad",
  missing: "bad",
  blocked: "bad",
  unknown: "bad",
  stale: "warn",
  due: "busy",
  fresh: "good",
  paused: "idle",
};

export const consumerTones: Readonly<Record<ConsumerStateName, Tone>> = {
  failed: "bad",
  unknown: "warn",
  behind: "warn",
  restarting: "busy",
  current: "good",
};

export const reasonTexts: Readonly<Record<Reason, string>> = {
  SecretMissing: "There is no secret of that name yet.",
  SecretDisabled: "The current version is disabled.",
  Expired: "The current version has expired.",
  NearingExpiry: "Its renewal time has come.",
  SpecChanged: "The configuration asks for another content.",
  OutputsDiverged: "The outputs hold different tokens.",
  Forced: "Somebody asked for it.",
  Fresh: "Nothing is due.",
  Paused: "Ticks leave it alone until it is resumed.",
  Blocked: "A secret of that name belongs to somebody else; it is never overwritten.",
  ConfigurationInvalid: "Its part of rotations.json is at fault; token-rotator validate names the problems.",
  StateUnknown: "What the vault holds cannot be read.",
};

/** What the next tick does, where it does not just wait for the renewal. */
export const actionTexts: Readonly<Record<PlanRow["action"], string>> = {
  rotate: "The next tick mints a new token",
  propagate: "The next tick updates the consumers",
  none: "The next tick does nothing",
  blocked: "No tick can do anything",
};

export const outcomeTexts: Readonly<Record<Outcome, string>> = {
  Rotated: "A new token is in the vault.",
  Propagated: "Nothing was minted; the consumers were brought up to date.",
  RestartPending: "The vault is up to date; replicas are still being replaced.",
  Fresh: "Nothing was due.",
  Paused: "It is paused; nothing was done.",
  SourceUnchanged:
    "The source still hands out the token that the vault holds, and that one lives long enough.",
  Blocked: "Nothing may be done.",
  SubjectChanged: "The new token speaks for another identity; it was not published.",
  RestartFailed: "The vault is up to date, but a consumer was not brought up to date.",
  Failed: "It failed; the last good version stays in the vault.",
  NotReached: "Time was up before it was done; the next tick goes on with it.",
  SignInRequired: "Somebody must sign in again before a new token can be minted.",
};
