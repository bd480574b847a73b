import type { webcrypto } from "node:crypto";
import { writeFile } from "node:fs/promises";
import tls from "node:tls";
import { systemClock } from "../clock.ts";

/** A certificate authority that lives as long as the process. Its private key cannot be exported. */
export interface CertificateAuthority {
  /** PEM of the authority's own certificate: what a client has to trust. */
  readonly certificatePem: string;
  /** PEM of a certificate for localhost, *.localhost, 127.0.0.1 and ::1, and of its key. */
  readonly leaf: { readonly key: string; readonly cert: string };
  /** Writes the authority's certificate, for `NODE_EXTRA_CA_CERTS` of another process. */
  writeCertificate(file: string): Promise<void>;
}

const ecdsa = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const dayMs = 24 * 60 * 60 * 1000;

/**
 * @param names Further host names. Node.js and OpenSSL take no wildcard right below a top-level name, so a client of
 * theirs that calls `vault.localhost` needs that name; others take `*.localhost`.
 */
export async function createCertificateAuthority(
  names: readonly string[] = [],
): Promise<CertificateAuthority> {
  // Loaded here, so that other keys can be generated while the library is read. It needs the reflection polyfill first.
  await import("reflect-metadata");
  const x509 = await import("@peculiar/x509");
  const validity = {
    // OpenSSL compares with the machine's clock, whatever clock the embedded Azure runs on. 398 days is the longest that
    // the platforms' own verifiers accept for a server.
    notBefore: new Date(systemClock.now() - dayMs),
    notAfter: new Date(systemClock.now() + 397 * dayMs),
  };
  const [authorityKeys, leafKeys] = await Promise.all([
    generateKeys({ extractable: false }),
    generateKeys({ extractable: true }),
  ]);
  const authority = await x509.X509CertificateGenerator.createSelfSigned({
    ...validity,
    name: "CN=Embedded Azure",
    keys: authorityKeys,
    signingAlgorithm: ecdsa,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
      await x509.SubjectKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const leaf = await x509.X509CertificateGenerator.create({
    ...validity,
    subject: "CN=localhost",
    issuer: authority.subject,
    publicKey: leafKeys.publicKey,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: ecdsa,
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension([
        ...["localhost", "*.localhost", ...names].map((value) => ({ type: "dns" as const, value })),
        { type: "ip", value: "127.0.0.1" },
        { type: "ip", value: "::1" },
      ]),
      await x509.AuthorityKeyIdentifierExtension.create(authorityKeys.publicKey),
    ],
  });
  const certificatePem = authority.toString("pem");
  return {
    certificatePem,
    leaf: {
      key: x509.PemConverter.encode(
        await crypto.subtle.exportKey("pkcs8", leafKeys.privateKey),
        x509.PemConverter.PrivateKeyTag,
      ),
      cert: leaf.toString("pem"),
    },
    writeCertificate: (file) => writeFile(file, certificatePem),
  };
}

/**
 * Makes every TLS client of this process trust the certificate until disposed of, beside what it trusts already.
 * Needs Node.js 22.19 or 24.5; another process takes `NODE_EXTRA_CA_CERTS`.
 */
export function trustInThisProcess(certificatePem: string): Disposable {
  const before = tls.getCACertificates("default");
  tls.setDefaultCACertificates([...before, certificatePem]);
  return {
    [Symbol.dispose]: () => {
      const others = tls.getCACertificates("default").filter((pem) => !samePem(pem, certificatePem));
      tls.setDefaultCACertificates(others);
    },
  };
}

function samePem(one: string, other: string): boolean {
  return one.replace(/\s/g, "") === other.replace(/\s/g, "");
}

function generateKeys({ extractable }: { extractable: boolean }): Promise<webcrypto.CryptoKeyPair> {
  return crypto.subtle.generateKey(ecdsa, extractable, ["sign", "verify"]);
}
