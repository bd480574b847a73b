import { defineSchema } from "../defineSchema.ts";

/** What a resource id says: `/subscriptions/{subscription}/resourceGroups/{resourceGroup}/providers/{type}/{name}`. */
export interface ResourceId {
  readonly subscription: string;
  readonly resourceGroup: string;
  readonly name: string;
}

/** Takes an id apart that one of the schemas below has accepted. */
export function parseResourceId(id: string): ResourceId {
  const [, , subscription = "", , resourceGroup = "", , , , name = ""] = id.split("/");
  return { subscription, resourceGroup, name };
}

// The resource manager compares ids without case and answers them in several spellings. The patterns carry no flags,
// because the published JSON Schema cannot.
const guid = "[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}";
const group = `/[Ss]ubscriptions/${guid}/[Rr]esource[Gg]roups/[^/]{1,90}/[Pp]roviders`;

export const containerAppId = defineSchema((z) =>
  z
    .string()
    .regex(
      new RegExp(`^${group}/[Mm]icrosoft\\.[Aa]pp/[Cc]ontainer[Aa]pps/[a-zA-Z0-9-]{2,32}$`),
      "is not the resource id of a Container App; take it from `az containerapp show --name NAME --resource-group GROUP --query id`",
    ),
);

export const jobId = defineSchema((z) =>
  z
    .string()
    .regex(
      new RegExp(`^${group}/[Mm]icrosoft\\.[Aa]pp/[Jj]obs/[a-zA-Z0-9-]{2,32}$`),
      "is not the resource id of a Container Apps job; take it from `az containerapp job show --name NAME --resource-group GROUP --query id`",
    ),
);

export const userAssignedIdentityId = defineSchema((z) =>
  z
    .string()
    .regex(
      new RegExp(
        `^${group}/[Mm]icrosoft\\.[Mm]anaged[Ii]dentity/[Uu]ser[Aa]ssigned[Ii]dentities/[a-zA-Z0-9_-]{3,128}$`,
      ),
      "is not the resource id of a user-assigned identity; take it from `az identity show --name NAME --resource-group GROUP --query id`",
    ),
);
