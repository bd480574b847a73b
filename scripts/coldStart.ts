import { isBuiltin } from "node:module";
import type { Plugin } from "rolldown";

/*
 * What makes the bundle of the functions start faster without changing what it does. Each of these keeps something from
 * being loaded that costs milliseconds and that no rotation uses.
 */

/**
 * Turns `import … from "node:…"` into a `require`. To `import` a module of its own, Node.js reads every export of it, and
 * some are made when they are read: those of `node:http` include `WebSocket`, and with it all of undici, its
 * implementation of `fetch`; those of `node:process` include `stdin` and the list of all flags.
 */
const requireBuiltins: Plugin = {
  name: "require-builtins",
  resolveId: (id, _importer, { kind }) => {
    // The bundler's own `require` is made by `node:module`.
    if (kind !== "import-statement" || !isBuiltin(id) || id === "node:module") {
      return undefined;
    }
    return `${builtin}${id}`;
  },
  load: (id) =>
    id.startsWith(builtin)
      ? `module.exports = require(${JSON.stringify(id.slice(builtin.length))});`
      : undefined,
};
const builtin = "\0builtin:";

/**
 * Hides types of bodies from the HTTP client of the Azure SDK, which asks of every body whether it is one of them; Node.js
 * loads what implements them when they are named. None of the clients sends forms or web streams.
 */
const hideWebBodies: Plugin = {
  name: "hide-web-bodies",
  transform: (code, id) =>
    /[\\/]@typespec[\\/]ts-http-runtime[\\/].*\.js$/.test(id)
      ? // In the same line, so that positions stay what they are.
        { code: `const FormData = undefined; class ReadableStream {} ${code}`, map: null }
      : undefined,
};

/**
 * Loads `jsonwebtoken` when MSAL signs with a certificate, which no identity of the rotator does: it comes with packages
 * that build large regular expressions as they load.
 */
const lateJsonWebToken: Plugin = {
  name: "late-json-web-token",
  resolveId: (id, _importer, { kind }) =>
    id === "jsonwebtoken" && kind === "import-statement" ? late : undefined,
  load: (id) =>
    id === late
      ? 'export default { sign: (...signed) => require("jsonwebtoken").sign(...signed) };'
      : undefined,
};
const late = "\0late-json-web-token";

export const coldStart: readonly Plugin[] = [requireBuiltins, hideWebBodies, lateJsonWebToken];
