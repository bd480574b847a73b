import type { ProbePlugin } from "../plugins.ts";
import { http } from "./http.ts";
import { postgres } from "./postgres.ts";

/** Every probe by its kind in the configuration. */
export const probes = { http, postgres } satisfies Record<string, AnyProbe>;

/** A plug-in of any options; what they are is checked where it is declared. */
type AnyProbe = Pick<ProbePlugin<{ readonly kind: string }>, "schema"> & Omit<ProbePlugin<never>, "schema">;
