/** The product's version; a test keeps it equal to `package.json`, which a bundle does not carry along. */
export const version = "0.1.0";
