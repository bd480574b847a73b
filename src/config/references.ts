import { outputsOfFile } from "./delivery.ts";
import type { JsonPath } from "./json.ts";
import type { RotationFields } from "./resolve.ts";

/** Every place of a rotation that names an output, and the name. */
export function referencesOf({
  consumers = [],
  kubernetes,
  files = [],
}: RotationFields): readonly [JsonPath, string][] {
  const { objects = [], secretObjects = [] } = kubernetes ?? {};
  return [
    ...consumers.map(({ output }, index): [JsonPath, string] => [["consumers", index, "output"], output]),
    ...objects.map(({ output }, index): [JsonPath, string] => [
      ["kubernetes", "objects", index, "output"],
      output,
    ]),
    ...secretObjects.flatMap(({ data }, index) =>
      data.map(({ output }, entry): [JsonPath, string] => [
        ["kubernetes", "secretObjects", index, "data", entry, "output"],
        output,
      ]),
    ),
    ...files.flatMap((file, index) =>
      outputsOfFile(file).map(([field, output]): [JsonPath, string] => [["files", index, field], output]),
    ),
  ];
}
