import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { OperationNames } from "../../src/local/operationNames.ts";
import { RequestLog } from "../../src/local/requestLog.ts";

describe("the request log", () => {
  it("keeps at least the newest 10,000 of any number, and counts them all", () => {
    const operations = new OperationNames();
    operations.add({
      name: "some",
      routes: [{ operation: "call", method: "GET", path: "/", handle: () => ({ status: 200 }) }],
    });
    const log = new RequestLog(operations);
    for (let call = 0; call < 45_000; call++) {
      log.begin({
        at: call,
        service: "some",
        instance: undefined,
        operation: "some.call",
        method: "GET",
        path: "/",
        target: "",
        action: undefined,
        caller: undefined,
      });
    }
    assert.ok(log.all.length >= 10_000 && log.all.length <= 20_000);
    assert.equal(log.all.at(-1)?.sequence, 45_000);
    assert.equal(log.total, 45_000);
    assert.equal(log.count("some.call"), 45_000);

    log.clear();
    assert.deepEqual([log.all.length, log.total, log.count("some.*")], [0, 0, 0]);
  });
});
