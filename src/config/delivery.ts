import * as z from "zod";
import { duration, secretName } from "./fields.ts";

/*
 * The parts of a rotation that say how its outputs come to pods and hosts. The rotator itself does not act on them:
 * `manifests` and `pull` do.
 */

const output = secretName(z).describe("Name of the output's secret.");

const path = z
  .string()
  .max(4096)
  .regex(/^\P{Cc}*[^\p{Cc}/\\]$/u, "is not the path of a file; write /…, ~/… or a relative one");

const directory = z
  .string()
  .max(4096)
  .regex(/^\P{Cc}+$/u, "is not the path of a directory; write /…, ~/… or a relative one");

const permission = (digits: string) =>
  z.string().regex(/^0[0-7]{3}$/, `is not a file mode; write four octal digits, such as ${digits}`);

/** RFC 1123 label, as Kubernetes wants names. */
const kubernetesName = z
  .string()
  .regex(
    /^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/,
    "is not a Kubernetes name; use 1 to 63 lower-case letters, digits and hyphens",
  );

const guid = (what: string) =>
  z.string().regex(/^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$/, `is not a GUID; write ${what}`);

/** Stays below the mount: one name, without the `..` that the driver's Azure provider refuses wherever it stands. */
const fileName = z
  .string()
  .regex(
    /^(?!.*\.\.)\.?[0-9A-Za-z_][0-9A-Za-z._-]{0,251}$/,
    "is not a file name; use letters, digits, dots, hyphens and underscores, and no directory",
  );

const kubernetes = z
  .strictObject({
    namespace: kubernetesName.optional().describe("Namespace of the pods."),
    serviceAccount: kubernetesName.optional().describe("Service account that the pods run as."),
    clientId: guid("the client id of the identity")
      .optional()
      .describe("Client id of the identity that the pods read the vault with."),
    tenantId: guid("the id of the tenant")
      .optional()
      .describe("Tenant of that identity. Default: AZURE_TENANT_ID where `manifests` runs."),
    mountPath: z
      .string()
      .max(255)
      .regex(
        /^(?!.*\/\.\.?(?:\/|$))(?:\/[0-9A-Za-z._-]+)+$/,
        "is not the path of a directory; write an absolute one, such as /mnt/secrets",
      )
      .optional()
      .describe("Where the pods mount the files. Default /mnt/secrets/ and the name of the rotation."),
    pollInterval: duration(z)
      .default("2m")
      .describe(
        "The CSI driver's own rotation poll interval. It is a setting of the driver; say here what it is. Default 2m.",
      ),
    objects: z
      .array(
        z.strictObject({
          output,
          alias: fileName
            .optional()
            .describe("Name of the file in the mount. Default: the name of the secret."),
          filePermission: permission("0600")
            .optional()
            .describe("Mode of the file, four octal digits. Default 0644."),
        }),
      )
      .default([])
      .describe("The files of the mount. Default: one for every output."),
    secretObjects: z
      .array(
        z.strictObject({
          name: kubernetesName.describe("Name of the Kubernetes secret."),
          type: z
            .string()
            .min(1)
            .max(253)
            .default("Opaque")
            .describe("Type of the Kubernetes secret. Default Opaque."),
          data: z
            .array(z.strictObject({ output, key: fileName.describe("Key in the Kubernetes secret.") }))
            .min(1)
            .describe("Which output goes under which key."),
        }),
      )
      .default([])
      .describe("Kubernetes secrets that the driver keeps in step, for pods that need variables."),
  })
  .describe("Pods that mount the outputs with the Secrets Store CSI driver.");

const files = z
  .array(
    z.discriminatedUnion("kind", [
      z.strictObject({
        kind: z.literal("file").describe("A file that holds exactly what the secret holds."),
        output,
        path: path.describe("Where the file is: absolute, under ~/, or relative to the configuration."),
        mode: permission("0600")
          .default("0600")
          .describe("Mode of the file, four octal digits. Default 0600."),
      }),
      z.strictObject({
        kind: z.literal("pgpass").describe("Lines in a PostgreSQL password file, among the user's own."),
        output,
        path: path.default("~/.pgpass").describe("The password file. Default ~/.pgpass."),
      }),
      z.strictObject({
        kind: z
          .literal("dotenv")
          .describe("Variables in a file of environment variables, among the user's own."),
        output,
        path: path.describe("Where the file is: absolute, under ~/, or relative to the configuration."),
      }),
      z
        .strictObject({
          kind: z.literal("oci-session").describe("A session of the OCI CLI and the SDKs."),
          token: secretName(z)
            .optional()
            .describe("Name of the output with the token; it comes together with key."),
          key: secretName(z).optional().describe("Name of the output with the private key."),
          bundle: secretName(z)
            .optional()
            .describe("Name of the output that carries token and key together."),
          profile: z
            .string()
            .regex(
              /^[0-9A-Za-z_][0-9A-Za-z._-]{0,63}$/,
              "is not the name of a profile; use letters, digits, . _ and -",
            )
            .describe("Profile in the OCI configuration that is written."),
          region: z
            .string()
            .regex(/^[a-z0-9-]{2,40}$/, "is not a region; write its identifier, such as eu-frankfurt-1")
            .optional()
            .describe("Region of the profile."),
          tenancy: z
            .string()
            .regex(
              /^ocid1\.tenancy\.[0-9a-z.-]{1,200}$/,
              "is not the OCID of a tenancy; it begins with ocid1.tenancy.",
            )
            .optional()
            .describe("OCID of the tenancy."),
          directory: directory.default("~/.oci").describe("The OCI directory. Default ~/.oci."),
        })
        .refine(
          ({ token, key, bundle }) =>
            bundle === undefined
              ? token !== undefined && key !== undefined
              : token === undefined && key === undefined,
          "needs either bundle, or token and key; name the outputs that carry them",
        ),
    ]),
  )
  .describe("Files on a host that pull keeps up to date.");

export const delivery = { kubernetes, files };

type Kubernetes = z.output<typeof kubernetes>;

/**
 * What is wrong with a mount as a whole: two objects under one name would be one file, and a secret can only be made of
 * objects that are mounted.
 */
export function complaintsAboutMount({
  objects,
  secretObjects,
}: Kubernetes): readonly { path: readonly (string | number)[]; message: string }[] {
  const names = objects.map(({ output, alias }) => alias ?? output);
  const mounted = new Set(objects.map((object) => object.output));
  return [
    ...names.flatMap((name, index) =>
      names.indexOf(name) === index
        ? []
        : [
            {
              path: ["objects", index],
              message: "has the file name of another object; give each an alias of its own",
            },
          ],
    ),
    ...secretObjects.flatMap(({ data }, index) =>
      data.flatMap(({ output }, entry) =>
        mounted.size === 0 || mounted.has(output)
          ? []
          : [
              {
                path: ["secretObjects", index, "data", entry, "output"],
                message: "is not mounted; add it to objects, since the driver only syncs what it mounts",
              },
            ],
      ),
    ),
  ];
}

type File = z.output<typeof files>[number];

/** The fields of a file that name an output, and the names. */
export function outputsOfFile(file: File): readonly [string, string][] {
  const named =
    file.kind === "oci-session"
      ? { token: file.token, key: file.key, bundle: file.bundle }
      : { output: file.output };
  return Object.entries(named).filter((entry): entry is [string, string] => entry[1] !== undefined);
}
