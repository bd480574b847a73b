import type { SourcePlugin } from "../plugins.ts";
import { databricksOauth } from "./databricksOauth.ts";
import { entra } from "./entra.ts";
import { lakebase } from "./lakebase.ts";
import { moduleSource } from "./module.ts";
import { oauthClientCredentials } from "./oauthClientCredentials.ts";
import { oauthRefreshToken } from "./oauthRefreshToken.ts";
import { ociSession } from "./ociSession.ts";

/** Every token source by its kind in the configuration. */
export const sources = {
  entra,
  "databricks-oauth": databricksOauth,
  lakebase,
  "oauth-client-credentials": oauthClientCredentials,
  "oauth-refresh-token": oauthRefreshToken,
  "oci-session": ociSession,
  module: moduleSource,
} satisfies Record<string, AnySource>;

/** A plug-in of any options; what they are is checked where it is declared. */
type AnySource = Pick<SourcePlugin<{ readonly kind: string }>, "schema"> &
  Omit<SourcePlugin<never>, "schema">;
