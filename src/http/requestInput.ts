import type { HttpRequest } from "@azure/functions";
import { RotatorError } from "../errors.ts";
import { httpProblems } from "./problems.ts";

/**
 * The rotation that the route names.
 * @throws RotatorError `NameInvalid`
 */
export function rotationName({ params }: HttpRequest): string {
  return checkedName(params.name);
}

/** The pattern of `rotations.json`; what does not match it is not even looked for. */
export function checkedName(name: unknown): string {
  if (typeof name !== "string" || !/^[a-z0-9][a-z0-9-]{0,62}$/.test(name)) {
    throw new RotatorError(httpProblems.NameInvalid);
  }
  return name;
}

const maxBodyBytes = 1_024;

/** @throws RotatorError `BodyTooLarge` */
export async function smallBody(request: HttpRequest): Promise<string> {
  const body = await request.text();
  if (Buffer.byteLength(body) > maxBodyBytes) {
    throw new RotatorError(httpProblems.BodyTooLarge);
  }
  return body;
}

/**
 * What the caller of `rotate` asks for; nothing in particular where there is no body.
 * @throws RotatorError `BodyInvalid`, `BodyTooLarge`
 */
export async function rotateOptions(request: HttpRequest): Promise<{ readonly force: boolean }> {
  const body = await smallBody(request);
  if (body === "") {
    return { force: false };
  }
  const type = request.headers.get("content-type")?.split(";")[0]?.trim().toLowerCase();
  const options = type === "application/json" ? parsed(body) : undefined;
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw new RotatorError(httpProblems.BodyInvalid);
  }
  const { force = false, ...others } = options as { force?: unknown };
  if (typeof force !== "boolean" || Object.keys(others).length > 0) {
    throw new RotatorError(httpProblems.BodyInvalid);
  }
  return { force };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
