import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Audit, byKind, type Claim, effectOf, interval, small, total, verdict } from "../src/views/audit/audit";

const claim = (kind: string, effect: number, low: number, high: number): Claim => ({
  kind,
  subject: { of: "retriever", name: "the retriever", latent: null, passage_ids: [] },
  sentence: `${kind} ${effect}`,
  effect,
  low,
  high,
  unit: "spreads",
  smallest: 0.2,
  corrected: 0.002,
  n: 1234,
  examples: [],
  counterfactual: { changed: "it was cut", value: "rank", before: 2, after: 1, n: 20 },
});

const counts = [
  { kind: "hub", tested: 302, significant: 3, large: 2, confirmed: 0 },
  { kind: "length", tested: 1, significant: 1, large: 1, confirmed: 1 },
];

describe("audit", () => {
  test("effect as the terminal says it", () => {
    expect(effectOf(claim("length", -0.381, -0.57, -0.19))).toBe(
      "−0.38 spreads (95 %: −0.57 to −0.19), corrected p = .0020, n = 1,234",
    );
    expect(small(0.00001)).toBe("< .0001");
  });

  test("the verdict says how far the tests got", () => {
    const audit = { claims: [], counts } as unknown as Audit;
    expect(verdict(audit)).toBe(
      "Of 303 tests, 4 were significant, 3 of these large enough to matter, and no counterfactual showed it again: nothing is claimed.",
    );
    expect(verdict({ ...audit, claims: [claim("length", 1, 0.5, 2)] })).toBe("Of 303 tests, 1 claim holds.");
    expect(total(counts)).toEqual({ tested: 303, significant: 4, large: 3, confirmed: 1 });
  });

  test("claims stand by kind, in their order", () => {
    const kinds = byKind([claim("a", 3, 2, 4), claim("a", 2, 1, 3), claim("b", 1, 0, 2)]);
    expect(kinds.map(([kind, claims]) => [kind, claims.length])).toEqual([
      ["a", 2],
      ["b", 1],
    ]);
  });

  test("an interval's line holds zero, both ends and the smallest that matters", () => {
    const value = fc.double({ min: -5, max: 5, noNaN: true });
    fc.assert(
      fc.property(value, value, value, (a, b, c) => {
        const [low, effect, high] = [a, b, c].sort((x, y) => x - y) as [number, number, number];
        const at = interval(claim("x", effect, low, high));
        for (const place of Object.values(at)) {
          expect(place).toBeGreaterThanOrEqual(0);
          expect(place).toBeLessThanOrEqual(1);
        }
        expect(at.low).toBeLessThanOrEqual(at.high);
      }),
    );
  });
});
