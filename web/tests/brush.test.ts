import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  between,
  bins,
  counts,
  isWhole,
  moved,
  read,
  snapped,
  WHOLE,
  within,
  written,
} from "../src/views/evaluation/brush";

const difference = fc.double({ min: -1, max: 1, noNaN: true });

describe("bins", () => {
  it("hold every difference that is no tie, once", () => {
    fc.assert(
      fc.property(fc.array(difference), (values) => {
        const inBins = bins(values).reduce((sum, bin) => sum + bin.n, 0);
        expect(inBins).toBe(values.length - counts(values).ties);
      }),
    );
  });

  it("mirror each other: losses stand where wins of the same size would", () => {
    fc.assert(
      fc.property(fc.array(difference), (values) => {
        const here = bins(values).map((bin) => bin.n);
        const there = bins(values.map((value) => -value)).map((bin) => bin.n);
        expect(there.reverse()).toEqual(here);
      }),
    );
  });

  it("hold a difference between their ends", () => {
    fc.assert(
      fc.property(difference, (value) => {
        const bin = bins([value]).find((one) => one.n === 1);
        if (bin) expect(within(value, bin)).toBe(true);
      }),
    );
  });
});

describe("a brush", () => {
  it("comes back from the address as it went", () => {
    fc.assert(
      fc.property(difference, difference, (one, other) => {
        const brush = between(snapped(one), snapped(other));
        const { from, to } = written(brush);
        expect(read(from === null ? null : String(from), to === null ? null : String(to))).toEqual(brush);
      }),
    );
  });

  it("is the whole scale where the address holds no numbers", () => {
    expect(read("x", "")).toEqual(WHOLE);
    expect(isWhole(read(null, null))).toBe(true);
    expect(read("0.6", "0.3")).toEqual({ from: 0.3, to: 0.6 });
    expect(read("-9", "9")).toEqual(WHOLE);
  });

  it("keeps its width where it is moved, and stays on the scale", () => {
    fc.assert(
      fc.property(difference, difference, fc.double({ min: -5, max: 5, noNaN: true }), (one, other, by) => {
        const brush = between(snapped(one), snapped(other));
        const there = moved(brush, by);
        expect(there.to - there.from).toBeCloseTo(brush.to - brush.from, 3);
        expect(there.from).toBeGreaterThanOrEqual(-1);
        expect(there.to).toBeLessThanOrEqual(1);
      }),
    );
  });
});
