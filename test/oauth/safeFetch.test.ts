import assert from "node:assert/strict";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { startEmbeddedAzure } from "../../src/local/azure.ts";
import { safeFetch } from "../../src/oauth/safeFetch.ts";
import { failure } from "./setup.ts";

const fetch = safeFetch();
const mebibyte = 1024 * 1024;

describe("safeFetch", () => {
  it("sends to https and to http on a loopback host, and nowhere else", async () => {
    await using server = await listen((_request, response) => response.end("hello"));
    assert.equal(await (await fetch(server.url)).text(), "hello");
    const sent: string[] = [];
    const recording = safeFetch(async (input) => {
      sent.push(String(input));
      return new Response("");
    });
    for (const url of ["http://example.org/token", "ftp://127.0.0.1/", "http://127.0.0.1.example.org/"]) {
      assert.equal((await failure(recording(url))).code, "AddressNotSafe", url);
    }
    await recording("https://example.org/token");
    assert.deepEqual(sent, ["https://example.org/token"]);
  });

  it("follows no redirect, to the same origin or to another one", async () => {
    const paths: unknown[] = [];
    await using elsewhere = await listen((request, response) => {
      paths.push(request.url);
      response.end();
    });
    await using server = await listen((request, response) => {
      paths.push(request.url);
      const status = Number(request.url?.slice(1, 4));
      response.writeHead(status, { location: request.url?.endsWith("out") ? elsewhere.url : "/200" }).end();
    });
    for (const status of [301, 302, 303, 307, 308]) {
      for (const where of ["in", "out"]) {
        const error = await failure(
          fetch(`${server.url}/${status}${where}`, { method: "POST", body: "secret" }),
        );
        assert.deepEqual([error.code, error.facts.httpStatus], ["RedirectRefused", status]);
        assert.equal(error.retryable, false);
      }
    }
    assert.equal(paths.length, 10);
  });

  it("does not let its caller turn redirects on", async () => {
    await using server = await listen((_request, response) =>
      response.writeHead(302, { location: "/x" }).end(),
    );
    assert.equal((await failure(fetch(server.url, { redirect: "follow" }))).code, "RedirectRefused");
  });

  it("takes 1 MiB and not one octet more, told or untold", async () => {
    await using server = await listen((request, response) => {
      const [, kind, size] = (request.url ?? "").split("/");
      const body = Buffer.alloc(Number(size), " ");
      if (kind === "told") {
        response.end(body);
      } else if (kind === "chunked") {
        response.write(body.subarray(0, 10));
        response.end(body.subarray(10));
      } else {
        response.setHeader("content-encoding", "gzip").end(gzipSync(body));
      }
    });
    for (const kind of ["told", "chunked", "gzip"]) {
      const fits = await fetch(`${server.url}/${kind}/${mebibyte}`);
      assert.equal((await fits.arrayBuffer()).byteLength, mebibyte, kind);
      const exceeds = fetch(`${server.url}/${kind}/${mebibyte + 1}`).then((response) => response.text());
      assert.equal((await failure(exceeds)).code, "AnswerTooLarge", kind);
    }
  });

  it("reads no further than the limit", async () => {
    let written = 0;
    await using server = await listen((_request, response) => {
      const write = () => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536))) {
          written += 65_536;
        }
      };
      response.on("drain", write);
      write();
    });
    const response = await fetch(server.url);
    assert.equal((await failure(response.text())).code, "AnswerTooLarge");
    assert.ok(written < 20 * mebibyte, `${written} octets were written`);
  });

  it("says which connections failed, and which requests may have arrived", async () => {
    const closed = await listen(() => {});
    await closed[Symbol.asyncDispose]();
    const refused = await failure(fetch(closed.url));
    assert.deepEqual(
      [refused.code, refused.retryable, refused.ambiguous, refused.facts.errorCode],
      ["EndpointUnreachable", true, false, "ECONNREFUSED"],
    );
    await using cutting = await listen((request) => request.socket.destroy());
    const cut = await failure(fetch(cutting.url));
    assert.deepEqual([cut.code, cut.retryable, cut.ambiguous], ["EndpointUnreachable", true, true]);
  });

  it("says when an answer ends in the middle", async () => {
    await using server = await listen((_request, response) => {
      response.writeHead(200, { "content-length": 100 });
      response.write("half", () => response.destroy());
    });
    const response = await fetch(server.url);
    const error = await failure(response.text());
    assert.deepEqual([error.code, error.retryable, error.ambiguous], ["AnswerInterrupted", true, true]);
  });

  it("does not trust an unknown authority", async () => {
    await using azure = await startEmbeddedAzure();
    const error = await failure(fetch(azure.vault.url));
    assert.deepEqual([error.code, error.retryable], ["EndpointCertificateRefused", false]);
  });

  it("ends with the reason of its signal, before, during and after the headers", async () => {
    await using server = await listen((request, response) => {
      if (request.url === "/body") {
        response.writeHead(200);
        response.write("half");
      }
    });
    const reason = new Error("time is up");
    await assert.rejects(fetch(server.url, { signal: AbortSignal.abort(reason) }), reason);
    const waiting = new AbortController();
    const work = fetch(server.url, { signal: waiting.signal });
    setImmediate(() => waiting.abort(reason));
    await assert.rejects(work, reason);
    const reading = new AbortController();
    const response = await fetch(`${server.url}/body`, { signal: reading.signal });
    const body = response.text();
    setImmediate(() => reading.abort(reason));
    await assert.rejects(body, reason);
  });
});

async function listen(listener: RequestListener): Promise<{ readonly url: string } & AsyncDisposable> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
