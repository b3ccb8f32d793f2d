// The checked-in OpenAPI document, judged by a validator that is not ours.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { Validator } from "@seriousme/openapi-schema-validator";

const document = JSON.parse(await readFile(new URL("../openapi/consentry.json", import.meta.url), "utf8"));

test("the document is valid OpenAPI 3.1", async () => {
  const validator = new Validator();
  const { valid, errors } = await validator.validate(structuredClone(document));
  assert.ok(valid, JSON.stringify(errors, null, 1));
  assert.equal(validator.version, "3.1");
});

test("a document that is broken is not valid", async () => {
  const broken = structuredClone(document);
  broken.paths["/v1/accounts"].get.responses = "none";
  const { valid } = await new Validator().validate(broken);
  assert.equal(valid, false);
});
