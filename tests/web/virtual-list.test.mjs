// What the virtual list counts with, against models that are too simple to be wrong.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Heights } from "../../web/js/widgets/heights.js";
import { edits, moved } from "../../web/js/widgets/items.js";

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function randomness(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);

const sum = (numbers) => numbers.reduce((all, number) => all + number, 0);

/** The last that begins at or before y. */
function naiveIndexAt(model, y) {
  let index = 0;
  for (let i = 0, top = 0; i < model.length && top <= y; top += model[i++]) index = i;
  return model.length ? index : -1;
}

function agree(heights, model, random) {
  assert.equal(heights.length, model.length);
  assert.equal(heights.total, sum(model));
  for (let look = 0; look < 10; look++) {
    const index = Math.floor(random() * (model.length + 1));
    assert.equal(heights.offset(index), sum(model.slice(0, index)));
    if (index < model.length) assert.equal(heights.get(index), model[index]);
    // Just where an item begins, too.
    const y = look % 2 ? heights.offset(index) : (random() * 1.2 - 0.1) * heights.total;
    assert.equal(heights.indexAt(y), naiveIndexAt(model, y), `at ${y}`);
  }
}

test("heights agree with a plain array through any splices and corrections", () => {
  for (const seed of SEEDS) {
    const random = randomness(seed);
    const upTo = (most) => Math.floor(random() * (most + 1));
    // As browsers measure: 64ths of px. Nothing is lost in sums of these.
    const height = () => (random() < 0.1 ? 0 : upTo(300 * 64) / 64);
    const heights = new Heights();
    const model = [];
    agree(heights, model, random);
    for (let step = 0; step < 30; step++) {
      const at = upTo(model.length);
      const removed = upTo(Math.min(model.length - at, random() < 0.2 ? 5000 : 3));
      const added = Array.from({ length: upTo(random() < 0.2 ? 3000 : 60) }, height);
      heights.splice(at, removed, added);
      model.splice(at, removed, ...added);
      for (let correction = upTo(20); correction && model.length; correction--) {
        const index = upTo(model.length - 1);
        model[index] = height();
        heights.set(index, model[index]);
      }
      agree(heights, model, random);
    }
  }
});

test("a hundred thousand heights take a page before them in a blink", () => {
  const heights = new Heights();
  heights.splice(0, 0, new Array(100_000).fill(64));
  const page = new Array(50).fill(80);
  const times = Array.from({ length: 21 }, () => {
    const begin = performance.now();
    heights.splice(0, 0, page);
    heights.indexAt(heights.offset(60_000) + 1);
    return performance.now() - begin;
  });
  const median = times.sort((one, other) => one - other)[10];
  assert.ok(median < 5, `${median} ms`);
});

function check(before, after) {
  const steps = edits(before.length, after.length, (old, now) => before[old] === after[now]);
  const made = [...before];
  for (const { at, removed, added } of steps) {
    made.splice(at, removed, ...after.slice(at, at + added));
  }
  assert.deepEqual(made, after);
  before.forEach((key, index) => {
    const now = moved(index, steps);
    if (now >= 0) assert.equal(after[now], key);
  });
  return steps;
}

test("the steps found make any list into any other, and know where items went", () => {
  for (const seed of SEEDS) {
    const random = randomness(seed);
    let next = 0;
    let list = [];
    for (let round = 0; round < 20; round++) {
      const after = [...list];
      for (let change = Math.floor(random() * 4); change; change--) {
        const at = [0, after.length, Math.floor(random() * after.length)][change % 3];
        const added = Array.from({ length: Math.floor(random() * 60) }, () => next++);
        after.splice(at, random() < 0.5 ? 0 : Math.floor(random() * 5), ...added);
      }
      if (random() < 0.05) after.sort(() => random() - 0.5);
      check(list, after);
      list = after;
    }
  }
});

test("what came before, behind and between is told apart, and nothing else is touched", () => {
  const log = Array.from({ length: 5000 }, (_, n) => n);
  assert.deepEqual(check(log, [...log]), []);
  assert.deepEqual(check(log, ["older", ...log, "newer"]), [
    { at: 0, removed: 0, added: 1 },
    { at: 5001, removed: 0, added: 1 },
  ]);
  const without = ["older", ...log.filter((n) => n !== 2000), "newer"];
  assert.deepEqual(check(log, without)[1], { at: 2001, removed: 1, added: 0 });
  const renamed = log.map((n) => (n === 4999 ? "stored" : n));
  assert.deepEqual(check(log, renamed), [{ at: 4999, removed: 1, added: 1 }]);
});
