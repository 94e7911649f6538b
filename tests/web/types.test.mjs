// tandem.d.ts says what tandem.js has: TypeScript reads one, and each of its members is looked for.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { createRequire } from "node:module";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as sdk from "../../web/sdk/tandem.js";
import { ANN, loggedIn, newClient } from "./support.mjs";

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const folder = path("../clients/");
const skip = !existsSync(`${folder}node_modules/typescript`) && "TypeScript is not installed";

test("users_of_the_types_compile_and_misuses_do_not", { skip }, () => {
  const tsc = `${folder}node_modules/typescript/bin/tsc`;
  const strict = ["--noEmit", "--strict", "--noUncheckedIndexedAccess"];
  const modules = ["--module", "esnext", "--moduleResolution", "bundler"];
  const target = ["--target", "es2022", "--lib", "es2023,dom"];
  const call = [tsc, ...strict, ...modules, ...target, path("types.ts")];
  try {
    execFileSync(process.execPath, call, { encoding: "utf8" });
  } catch (error) {
    assert.fail(error.stdout);
  }
});

/** Name → members of each interface and class, exported values by name. */
function declared() {
  const ts = createRequire(folder)("typescript");
  const program = ts.createProgram([path("../../web/sdk/tandem.d.ts")], {});
  const checker = program.getTypeChecker();
  const file = program.getSourceFile(path("../../web/sdk/tandem.d.ts"));
  const shapes = {};
  const values = [];
  for (const symbol of checker.getExportsOfModule(checker.getSymbolAtLocation(file))) {
    if (symbol.flags & ts.SymbolFlags.Value) values.push(symbol.name);
    const type = checker.getDeclaredTypeOfSymbol(symbol);
    const own = (member) => member.declarations?.some((one) => one.getSourceFile() === file);
    shapes[symbol.name] = checker.getPropertiesOfType(type).filter(own).map((one) => one.name);
  }
  return { shapes, values };
}

test("everything_that_is_declared_is_there_and_nothing_else_is_exported", { skip }, async () => {
  const { shapes, values } = declared();
  assert.deepEqual(Object.keys(sdk).toSorted(), values.toSorted());
  const client = newClient({ tokens: loggedIn() });
  const own = Object.getOwnPropertyNames(sdk.Tandem.prototype).filter((n) => n !== "constructor");
  assert.deepEqual(own.toSorted(), shapes.Tandem.toSorted());
  for (const name of shapes.Tandem) assert.ok(name in client, name);
  for (const name of shapes.ApiError) assert.ok(name in new sdk.ApiError(0), name);
  for (const name of shapes.Refusal) assert.ok(name in new sdk.Refusal(), name);
  const conversation = client.open(10, ANN);
  for (const name of shapes.Conversation) assert.ok(name in conversation, name);
  for (const name of shapes.Timeline) assert.ok(name in conversation.timeline, name);
});
