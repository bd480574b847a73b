/** The signature algorithms that a client's key in the vault can be used with. */
export const assertionAlgorithms = ["RS256", "PS256", "ES256", "ES384", "ES512", "Ed25519"] as const;
export type AssertionAlgorithm = (typeof assertionAlgorithms)[number];
