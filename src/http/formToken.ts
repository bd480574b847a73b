import { randomBytes, timingSafeEqual } from "node:crypto";
import type { Cookie, HttpRequest } from "@azure/functions";
import { RotatorError } from "../errors.ts";
import { httpProblems } from "./problems.ts";

/** Goes out as a cookie and inside of the form: what comes back without both was not sent by our own page. */
export interface FormToken {
  readonly value: string;
  readonly cookie: Cookie;
}

/** The browser's own token, or a new one. It lives as long as the browser's session. */
export function formToken(request: HttpRequest): FormToken {
  const secure = isHttps(request);
  const value = receivedToken(request) ?? randomBytes(16).toString("hex");
  return {
    value,
    cookie: { name: cookieName(secure), value, path: "/", httpOnly: true, sameSite: "Strict", secure },
  };
}

/** @throws RotatorError `FormInvalid` */
export function requireFormToken(request: HttpRequest, form: URLSearchParams): void {
  const [expected, given] = [receivedToken(request), form.get("token")].map((text) =>
    Buffer.from(text ?? ""),
  );
  if (!expected?.length || expected.length !== given?.length || !timingSafeEqual(expected, given)) {
    throw new RotatorError(httpProblems.FormInvalid);
  }
}

function receivedToken(request: HttpRequest): string | undefined {
  const name = cookieName(isHttps(request));
  const cookies = (request.headers.get("cookie") ?? "").split(";").map((cookie) => cookie.trim());
  const value = cookies.find((cookie) => cookie.startsWith(`${name}=`))?.slice(name.length + 1);
  return value !== undefined && /^[0-9a-f]{32}$/.test(value) ? value : undefined;
}

/** With this prefix a browser takes the cookie from this very host only, and only over TLS; a laptop has no TLS. */
function cookieName(secure: boolean): string {
  return secure ? "__Host-rotator-form" : "rotator-form";
}

function isHttps({ url }: HttpRequest): boolean {
  return URL.parse(url)?.protocol === "https:";
}
