import { readFile } from "node:fs/promises";
import type { Plugin } from "esbuild";

/*
 * What makes the bundle of the functions start faster without changing what it does. Both plug-ins keep Node.js from
 * loading undici, its implementation of `fetch`, which costs as much as an empty process and which the Azure SDK does not
 * use.
 */

/**
 * Turns `import … from "node:http"` into a `require`. To `import` a module of its own, Node.js reads every export, and
 * those of `node:http` include `WebSocket`, which is undici's.
 */
export const requireHttp: Plugin = {
  name: "require-http",
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^(node:)?http$/ }, ({ path, kind }) =>
      kind === "require-call" ? { path, external: true } : { path, namespace: "require-http" },
    );
    onLoad({ filter: /.*/, namespace: "require-http" }, () => ({
      contents: 'module.exports = require("node:http");',
    }));
  },
};

/**
 * Hides `FormData` from the HTTP client of the Azure SDK, which asks of every body whether it is one, and so loads undici.
 * None of the clients sends forms.
 */
export const hideFormData: Plugin = {
  name: "hide-form-data",
  setup({ onLoad }) {
    onLoad({ filter: /[\\/]@typespec[\\/]ts-http-runtime[\\/].*\.js$/ }, async ({ path }) => ({
      contents: `const FormData = undefined; ${await readFile(path, "utf8")}`,
    }));
  },
};
