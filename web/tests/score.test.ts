/** The bar adds up, whatever the score is made of; scale, slots and share do what the design says. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { carried } from "../src/score/carried";
import { accountsOf, type Contribution, type Explanation, net, type Slots, sentence } from "../src/score/groups";
import { labelsOf } from "../src/score/labels";
import { layoutOf } from "../src/score/layout";
import { decimals, place, roundUp, scaleOf, ticks } from "../src/score/scale";
import { filled, keptSlots, NO_SLOTS, picked } from "../src/score/slots";

function concept(
  latent: number,
  value: number,
  group: Contribution["group"],
  name: string | null = "name",
): Contribution {
  return { latent, name, query: 1, passage: value, value, trust: group && "holds", returns: null, group };
}

function explained(contributions: Contribution[], bias = 0, residual = 0, of = "dense"): Explanation {
  const score = contributions.reduce((sum, c) => sum + c.value, bias + residual);
  const shares = { explained_share: 1, named_share: null, returning_share: null, named_returning_share: null };
  return { of, score, contributions, bias, residual, ...shares, groups: {}, parts: [] };
}

const numbers = fc.double({ min: -5, max: 5, noNaN: true });
const group = fc.constantFrom("named", "unnamed", "traces", null) as fc.Arbitrary<Contribution["group"]>;
const contributions = fc
  .uniqueArray(fc.tuple(fc.nat(40), numbers, group), { maxLength: 40, selector: ([latent]) => latent })
  .map((all) => all.map(([latent, value, of]) => concept(latent, value, of)));
const plain = fc.tuple(contributions, numbers, numbers).map(([all, bias, residual]) => explained(all, bias, residual));
const sums = fc
  .array(fc.tuple(plain, fc.constantFrom("score", "rank", "absent")), { minLength: 2, maxLength: 3 })
  .map((all) => {
    const parts = all.map(([explanation, by], i) => {
      const value = by === "score" ? explanation.score : by === "rank" ? 0.01 + i : 0;
      return {
        system: `S${i}`,
        value,
        rank: by === "absent" ? null : 1,
        explanation: by === "absent" ? null : explanation,
      };
    });
    return { ...explained([], 0, 0, "sum"), score: parts.reduce((sum, part) => sum + part.value, 0), parts };
  });
const explanations = fc.oneof(plain, sums);
const slots: Slots = [3, 5, null, 7, 11, null];

describe("the bar", () => {
  test("draws widths that add up to the score, to half a pixel", () => {
    fc.assert(
      fc.property(explanations, fc.integer({ min: 200, max: 1200 }), (explanation, width) => {
        const layout = layoutOf(accountsOf(explanation, slots));
        const scale = scaleOf([layout.end], [layout.score]);
        const x = (value: number) => place(scale, value) * width;
        const drawn = layout.drawn.reduce((sum, d) => sum + (d.lane === "adds" ? 1 : -1) * (x(d.to) - x(d.from)), 0);
        expect(Math.abs(drawn - (x(explanation.score) - x(0)))).toBeLessThan(0.5);
        expect(Math.abs(x(layout.score) - x(explanation.score))).toBeLessThan(0.5);
        for (const d of layout.drawn) {
          expect(d.to).toBeGreaterThanOrEqual(d.from);
          expect(x(d.from)).toBeGreaterThanOrEqual(-0.001);
          expect(x(d.to)).toBeLessThanOrEqual(width + 0.001);
        }
      }),
    );
  });

  test("loses no contribution and counts none twice", () => {
    fc.assert(
      fc.property(plain, (explanation) => {
        const pieces = accountsOf(explanation, slots)[0]?.pieces ?? [];
        const there = explanation.contributions.filter((c) => c.value !== 0);
        const drawn = pieces.flatMap((piece) => piece.of).filter((c) => c.value !== 0);
        expect(drawn.length).toBe(there.length);
        expect(new Set(drawn)).toEqual(new Set(there));
        expect(pieces.reduce((sum, p) => sum + net(p), 0)).toBeCloseTo(explanation.score, 6);
      }),
    );
  });

  test("does not let what adds and what takes away cancel inside of a group", () => {
    const [account] = accountsOf(explained([concept(1, 0.5, "traces"), concept(2, -0.2, "traces")]), NO_SLOTS);
    expect(account?.pieces).toMatchObject([{ kind: "traces", adds: 0.5, takes: 0.2 }]);
    const layout = layoutOf(account ? [account] : []);
    expect(layout.drawn.map((d) => [d.lane, d.from, d.to])).toEqual([
      ["adds", 0, 0.5],
      ["takes", 0.3, 0.5],
    ]);
  });

  test("orders groups by slot, not by size, and says the sum", () => {
    const all = [concept(5, 0.2, "named", "lava"), concept(3, 0.1, "named", "climate"), concept(9, 0.4, "named")];
    const accounts = accountsOf(explained(all, 0.1, -0.05), slots);
    expect(accounts[0]?.pieces.map((p) => p.label)).toEqual(["climate", "lava", "Other named", "Bias", "Residual"]);
    expect(sentence(0.75, accounts)).toBe(
      "Score 0.750 is the sum of: climate +0.100; lava +0.200; Other named +0.400; Bias +0.100; Residual −0.050.",
    );
  });

  test("a slot's concept is drawn in colour only where its name holds", () => {
    const all = [concept(3, 0.2, "traces"), concept(5, 0.2, "unnamed"), concept(4, 0.1, "unnamed")];
    const [account] = accountsOf(explained(all), slots);
    expect(account?.pieces.map((p) => [p.kind, p.slot])).toEqual([
      ["unnamed", 1],
      ["unnamed", null],
      ["traces", null],
    ]);
  });

  test("words stand in quotation marks, in the order of the query", () => {
    const words = [concept(1, 3, null, "climate"), concept(2, 2, null, "volcano")];
    const [account] = accountsOf(explained(words, 0, 0, "terms"), slots, "volcanoes and climate");
    expect(account?.pieces.map((p) => p.label)).toEqual(["“volcano”", "“climate”"]);
  });

  test("a sum goes system by system; a rank is one part", () => {
    const words = explained([concept(1, 0.3, null, "lava")], 0, 0, "terms");
    const codes = explained([concept(3, 0.4, "named", "climate")], 0.1);
    const part = (system: string, value: number, explanation: Explanation) => ({ system, value, rank: 2, explanation });
    const sum = {
      ...explained([], 0, 0, "sum"),
      score: 0.8,
      parts: [part("BM25", 0.3, words), part("codes", 0.5, codes)],
    };
    const layout = layoutOf(accountsOf(sum, slots));
    expect(layout.brackets.map((b) => [b.account.system, b.from, b.to])).toEqual([
      ["BM25", 0, 0.3],
      ["codes", 0.3, expect.closeTo(0.8)],
    ]);
    const ranks = accountsOf({ ...sum, parts: [part("BM25", 0.016, words)] }, slots);
    expect(ranks[0]?.pieces).toMatchObject([{ kind: "system", label: "BM25, rank 2", adds: 0.016 }]);
  });

  test("writes a name where it fits before the tick, else its letter, else nothing", () => {
    const layout = layoutOf(accountsOf(explained([concept(3, 0.5, "named", "climate")]), slots));
    const drawn = layout.drawn[0];
    if (!drawn) throw new Error("nothing is drawn");
    const at = (width: number, tick = 0.5) => labelsOf(drawn, tick, { from: 0, to: 1 }, width).name?.text;
    expect(at(400)).toBe("climate");
    expect(at(400, 0.1)).toBe("A");
    expect(at(40)).toBe("A");
    expect(at(20)).toBeUndefined();
  });
});

describe("the scale", () => {
  test("rounds up to steps that the eye knows", () => {
    expect([0.592, 0.6, 1, 1.01, 1.3, 7, 0.0152, 23.4, 9].map(roundUp)).toEqual([
      0.6, 0.6, 1, 1.2, 1.5, 8, 0.02, 30, 10,
    ]);
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (value) => {
        expect(roundUp(value)).toBeGreaterThanOrEqual(value * (1 - 1e-5));
        expect(roundUp(value)).toBeLessThanOrEqual(value * 1.5);
      }),
    );
  });

  test("only grows, and begins below zero where a score does", () => {
    const first = scaleOf([0.55], [0.5]);
    expect(first).toEqual({ from: 0, to: 0.6 });
    expect(scaleOf([0.3], [0.3], first)).toEqual(first);
    expect(scaleOf([0.7], [0.7], first).to).toBe(0.8);
    expect(scaleOf([0.55], [-0.15])).toEqual({ from: -0.2, to: 0.6 });
    expect(ticks({ from: -0.2, to: 0.6 })).toEqual([-0.2, 0, 0.2, 0.4, 0.6]);
  });

  test("shows about three figures", () => {
    expect([0.6, 1, 4, 30, 400, 0.02].map((to) => decimals({ from: 0, to }))).toEqual([3, 3, 2, 1, 0, 4]);
  });
});

describe("slots", () => {
  const page = [
    explained([concept(1, 0.1, "named"), concept(2, 0.5, "named"), concept(3, 2, "traces")]),
    explained([concept(1, -0.6, "named"), concept(4, 0.2, "unnamed")]),
  ];

  test("go to what carries most where it is named, and stay", () => {
    const key = "p/volcano";
    expect(keptSlots(key, page)).toEqual([1, 2, 4, null, null, null]);
    expect(keptSlots(key, [explained([concept(2, 9, "named"), concept(8, 1, "named")])])).toEqual([
      1,
      2,
      4,
      8,
      null,
      null,
    ]);
  });

  test("an unnamed concept comes before a named one that carries less than a third as much", () => {
    const bulk = explained([concept(5, 0.29, "named"), concept(6, 0.31, "named"), concept(7, 0.9, "unnamed")]);
    expect(filled(NO_SLOTS, [bulk])).toEqual([6, 7, 5, null, null, null]);
  });

  test("a concept picked by hand takes a free one, or the one that carries least", () => {
    expect(picked([1, 2, null, null, null, null], 9, page)).toEqual([1, 2, null, null, null, 9]);
    expect(picked([1, 2, 5, 6, 7, 8], 9, page)).toEqual([1, 2, 5, 6, 7, 9]);
    expect(picked([1, 2, 5, 6, 7, 8], 2, page)).toEqual([1, 2, 5, 6, 7, 8]);
  });
});

test("the share is the mean over hits of named parts in all parts, by size", () => {
  const first = accountsOf(
    explained([concept(3, 0.4, "named"), concept(9, -0.2, "named"), concept(8, 0.2, "traces")], 0.1, 0.1),
    slots,
  );
  const second = accountsOf(explained([concept(3, 0.1, "unnamed")], 0.1), slots);
  const { named, of, n } = carried([first, second]);
  expect(named).toBeCloseTo((0.6 + 0) / 2);
  expect(of.get("slot:3")).toBeCloseTo(0.2);
  expect(of.get("bias")).toBeCloseTo((0.1 + 0.5) / 2);
  expect(n.get("traces")).toBe(1);
  expect([...of.values()].reduce((a, b) => a + b)).toBeCloseTo(1);
});
