import fc from "fast-check";

// Equal runs take equal courses.
fc.configureGlobal({ seed: 20_260_101 });

export { fc };

/**
 * A unit for `fc.string` that holds what its own unit `binary` does: every character of Unicode. That one fills a table with a
 * million of them, which takes a second or two in every process.
 */
export const codePoint = fc.oneof(codePoints(0, 0xd7ff), codePoints(0xe000, 0x10ffff));

function codePoints(min: number, max: number) {
  return fc.integer({ min, max }).map(
    (code) => String.fromCodePoint(code),
    (text) => {
      const [character, ...others] = typeof text === "string" ? text : [];
      const code = character?.codePointAt(0);
      // Thrown for what this unit could not have made: that is how fast-check asks.
      if (code === undefined || others.length > 0) {
        throw new RangeError("not one character");
      }
      return code;
    },
  );
}
