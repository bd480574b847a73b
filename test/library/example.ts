import { createRotator, isFailure, rotateRow } from "../../src/index.ts";

/** Renews what is due and tells what needs somebody's attention. */
export async function renew(file: string): Promise<string[]> {
  const rotator = await createRotator({ file });
  for (const { rotation, action, reason } of await rotator.plan()) {
    console.log(`${rotation}: ${action} (${reason})`);
  }
  const { rotations } = await rotator.tick({ deadlineMs: 60_000 });
  const failed = rotations.filter(({ outcome }) => isFailure(outcome)).map(rotateRow);
  return failed.map(({ rotation, stage, code, message }) => `${rotation}: ${stage} ${code}: ${message}`);
}
