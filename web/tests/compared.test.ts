import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { beyond, type Difference, type Differing, speaking, waterfall } from "../src/views/search/waterfall";

const value = fc.double({ min: -1, max: 1, noNaN: true });

const differing = (latent: number, first: number, second: number): Differing => ({
  latent,
  name: `c${latent}`,
  trust: "holds",
  returns: null,
  first,
  second,
  group: "named",
  difference: first - second,
  only: null,
});

function difference(pairs: [number, number][], bias: number, residual: number, second: number): Difference {
  const concepts = pairs.map(([one, other], i) => differing(i, one, other));
  const sum = concepts.reduce((all, one) => all + one.difference, 0) + bias + residual;
  const of = { of: "dense", first: second + sum, second, difference: sum, bias, residual, concepts };
  return { ...of, swap: null, parts: [] };
}

const differences = fc
  .tuple(fc.array(fc.tuple(value, value), { maxLength: 40 }), value, value, value)
  .map(([pairs, bias, residual, second]) => difference(pairs, bias, residual, second));

const sums = fc.array(differences, { minLength: 2, maxLength: 3 }).map((accounts): Difference => {
  const total = (of: (one: Difference) => number) => accounts.reduce((all, one) => all + of(one), 0);
  const parts = accounts.map((account, i) => ({
    system: `s${i}`,
    first: account.first,
    second: account.second,
    account,
  }));
  const [first, second] = [total((one) => one.first), total((one) => one.second)];
  const empty = { bias: 0, residual: 0, concepts: [], swap: null };
  return { of: "sum", first, second, difference: first - second, ...empty, parts };
});

describe("waterfall", () => {
  test.each([
    ["one system", differences],
    ["a sum of systems", sums],
  ])("the rows of %s add up to the difference, from the lower score to the higher", (_, made) => {
    fc.assert(
      fc.property(made, fc.nat({ max: 12 }), (of, shown) => {
        const found = waterfall(of, shown);
        expect(found.high).toBeGreaterThanOrEqual(found.low);
        expect(found.steps.reduce((sum, step) => sum + step.difference, 0)).toBeCloseTo(Math.abs(of.difference), 7);
        expect(found.steps.at(-1)?.to ?? found.low).toBeCloseTo(found.high, 7);
        for (const step of found.steps) {
          expect(step.to - step.from).toBeCloseTo(step.difference, 9);
          expect(step.higher - step.lower).toBeCloseTo(step.difference, 9);
          expect(step.to).toBeGreaterThanOrEqual(found.least);
          expect(step.to).toBeLessThanOrEqual(found.most);
        }
      }),
    );
  });

  test("every concept is there once, in a row or in a fold", () => {
    fc.assert(
      fc.property(fc.oneof(differences, sums), (of) => {
        const { steps } = waterfall(of);
        const there = steps.reduce((n, step) => n + (step.concept ? 1 : step.folded), 0);
        const accounts = of.parts?.length ? of.parts.map((part) => part.account as Difference) : [of];
        expect(there).toBe(accounts.reduce((n, account) => n + account.concepts.length, 0));
        expect(steps.filter((step) => step.concept).length).toBeLessThanOrEqual(9);
        expect(new Set(steps.map((step) => step.key)).size).toBe(steps.length);
      }),
    );
  });

  test("the bias has a row only where it differs", () => {
    expect(waterfall(difference([[0.3, 0.1]], 0, 0.02, 0.4)).sameBias).toBe(true);
    expect(waterfall(difference([[0.3, 0.1]], 0.1, 0.02, 0.4)).sameBias).toBe(false);
  });

  test("a part by rank, whose account is of another score, is one row", () => {
    const account = difference([[3, 1]], 0, 0, 5);
    const parts = [
      { system: "BM25", first: 0.02, second: 0.01, account },
      { system: "dense", first: 0.01, second: 0, account: null },
    ];
    const of = {
      of: "sum",
      first: 0.03,
      second: 0.01,
      difference: 0.02,
      bias: 0,
      residual: 0,
      concepts: [],
      swap: null,
      parts,
    };
    expect(waterfall(of).steps.map((step) => [step.kind, step.system])).toEqual([
      ["system", "BM25"],
      ["system", "dense"],
    ]);
  });

  test("what speaks for either side is the largest of it", () => {
    const pairs: [number, number][] = [
      [0.3, 0],
      [0.2, 0],
      [0.05, 0],
      [0, 0.25],
    ];
    const { gives, takes } = speaking(waterfall(difference(pairs, 0, 0, 0.1)).steps);
    expect(gives.map((step) => step.concept?.latent)).toEqual([0, 1]);
    expect(takes.map((step) => step.concept?.latent)).toEqual([3]);
  });

  test("a factor is rounded away from 1", () => {
    fc.assert(
      fc.property(fc.double({ min: -50, max: 50, noNaN: true }), (factor) => {
        fc.pre(factor !== 1);
        const rounded = beyond(factor);
        expect(factor > 1 ? rounded >= factor : rounded <= factor).toBe(true);
        expect(Math.abs(rounded - factor)).toBeLessThanOrEqual(0.0101);
      }),
    );
    expect(beyond(1.904)).toBe(1.91);
    expect(beyond(0.404)).toBe(0.4);
  });
});
