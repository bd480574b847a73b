import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { before, describe, it } from "node:test";
import { startEmbeddedAzure } from "../../src/local/azure.ts";
import {
  type CertificateAuthority,
  createCertificateAuthority,
} from "../../src/local/certificateAuthority.ts";

describe("the embedded certificate authority", () => {
  let authority: CertificateAuthority;
  before(async () => {
    authority = await createCertificateAuthority(["vault.localhost"]);
  });

  it("signs a certificate for every loopback name, and for no other", () => {
    const leaf = new X509Certificate(authority.leaf.cert);
    for (const name of ["localhost", "vault.localhost"]) {
      assert.equal(leaf.checkHost(name), name);
    }
    for (const address of ["127.0.0.1", "::1"]) {
      assert.equal(leaf.checkIP(address), address);
    }
    assert.equal(leaf.checkHost("example.org"), undefined);
    assert.match(leaf.subjectAltName ?? "", /DNS:\*\.localhost/);
    assert.equal(leaf.verify(new X509Certificate(authority.certificatePem).publicKey), true);
    assert.equal(leaf.ca, false);
  });

  it("is another authority at every start", async () => {
    const other = await createCertificateAuthority();
    assert.notEqual(other.certificatePem, authority.certificatePem);
    const leaf = new X509Certificate(authority.leaf.cert);
    assert.equal(leaf.verify(new X509Certificate(other.certificatePem).publicKey), false);
  });

  it("writes its certificate, and no key, where it is told to", async () => {
    const folder = await mkdtemp(path.join(tmpdir(), "authority-"));
    try {
      const caCertificateFile = path.join(folder, "ca.pem");
      await using azure = await startEmbeddedAzure({ caCertificateFile });
      assert.equal(await readFile(caCertificateFile, "utf8"), azure.caCertificatePem);
      assert.doesNotMatch(azure.caCertificatePem, /PRIVATE/);
      assert.equal(azure.environment.NODE_EXTRA_CA_CERTS, caCertificateFile);
    } finally {
      await rm(folder, { recursive: true });
    }
  });

  it("is trusted in this process from when it is asked for until it is given back", async () => {
    await using azure = await startEmbeddedAzure();
    const url = `${azure.issuer.url}/common/discovery/v2.0/keys`;
    const untrusted = { cause: { code: /UNABLE_TO_VERIFY_LEAF_SIGNATURE|SELF_SIGNED/ } };
    const isUntrusted = (error: { cause: { code: string } }) => {
      assert.match(error.cause.code, untrusted.cause.code);
      return true;
    };
    await assert.rejects(fetch(url), isUntrusted);
    const trust = azure.trustInThisProcess();
    assert.equal((await fetch(url)).status, 200);
    trust[Symbol.dispose]();

    await using other = await startEmbeddedAzure();
    using _trust = other.trustInThisProcess();
    await assert.rejects(fetch(`${azure.vault.url}/secrets`), isUntrusted);
  });
});
