import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { boxOf, boxOfText, inBox, readBox, writeBox } from "../src/views/map/box";
import { cellFor, count, gridOf, shade } from "../src/views/map/density";
import { boundsOf, type Frame, fitted, nearest, pan, toMap, toScreen, zoom } from "../src/views/map/frame";
import { overlap, placeLabels, shortened } from "../src/views/map/labels";
import { shownConcepts, stateOf, writeMarks } from "../src/views/map/state";

const whole = fitted({ x0: -1, y0: -1, x1: 1, y1: 1 }, 900, 600);
const at = fc.double({ min: -50, max: 50, noNaN: true });
const frames: fc.Arbitrary<Frame> = fc.record({
  x: at,
  y: at,
  scale: fc.double({ min: whole.scale, max: 50 * whole.scale, noNaN: true }),
  width: fc.constant(900),
  height: fc.constant(600),
});
const pixel = fc.record({ sx: fc.integer({ min: 0, max: 900 }), sy: fc.integer({ min: 0, max: 600 }) });

describe("the frame", () => {
  it("shows all of a box, up is up", () => {
    const [left, top] = toScreen(whole, -1, 1);
    const [right, bottom] = toScreen(whole, 1, -1);
    expect(left).toBeGreaterThanOrEqual(0);
    expect(top).toBeCloseTo(24);
    expect(right).toBeLessThanOrEqual(900);
    expect(bottom).toBeCloseTo(576);
  });

  it("says of each pixel which point it shows, and of each point which pixel", () => {
    fc.assert(
      fc.property(frames, pixel, (frame, { sx, sy }) => {
        const [x, y] = toScreen(frame, ...toMap(frame, sx, sy));
        expect(x).toBeCloseTo(sx, 6);
        expect(y).toBeCloseTo(sy, 6);
      }),
    );
  });

  it("keeps under the pointer what is there, however far it zooms", () => {
    fc.assert(
      fc.property(frames, pixel, fc.double({ min: 0.001, max: 1000, noNaN: true }), (frame, { sx, sy }, factor) => {
        const before = toMap(frame, sx, sy);
        const after = toMap(zoom(frame, sx, sy, factor, whole), sx, sy);
        expect(after[0]).toBeCloseTo(before[0], 6);
        expect(after[1]).toBeCloseTo(before[1], 6);
      }),
    );
  });

  it("zooms no closer and no further than it may", () => {
    expect(zoom(whole, 0, 0, 1e9, whole).scale).toBeCloseTo(200 * whole.scale);
    expect(zoom(whole, 0, 0, 1e-9, whole).scale).toBeCloseTo(0.5 * whole.scale);
  });

  it("moves the map with the pointer", () => {
    fc.assert(
      fc.property(frames, pixel, (frame, { sx, sy }) => {
        const point = toMap(frame, 100, 100);
        const [x, y] = toScreen(pan(frame, sx, sy), ...point);
        expect(x).toBeCloseTo(100 + sx, 6);
        expect(y).toBeCloseTo(100 + sy, 6);
      }),
    );
  });

  it("finds the nearest point that is shown and near enough", () => {
    const [x, y] = [
      [0, 0.01, 1],
      [0, 0, 1],
    ];
    const [sx, sy] = toScreen(whole, 0.009, 0);
    expect(nearest(whole, x, y, [0, 1, 2], [sx, sy], 12)).toBe(1);
    expect(nearest(whole, x, y, [0, 2], [sx, sy], 12)).toBe(0);
    expect(nearest(whole, x, y, [2], [sx, sy], 12)).toBeNull();
  });

  it("has bounds also without points", () => {
    expect(boundsOf([], [])).toEqual({ x0: 0, y0: 0, x1: 1, y1: 1 });
    expect(boundsOf([3, 1], [2, 5])).toEqual({ x0: 1, y0: 2, x1: 3, y1: 5 });
  });
});

describe("a box", () => {
  it("comes back from the address nearly as it went", () => {
    fc.assert(
      fc.property(at, at, at, at, (ax, ay, bx, by) => {
        const box = boxOf([ax, ay], [bx, by]);
        const read = readBox(writeBox(box));
        const size = Math.max(box.x1 - box.x0, box.y1 - box.y0, 1e-6);
        for (const key of ["x0", "y0", "x1", "y1"] as const)
          expect(Math.abs((read?.[key] ?? Number.NaN) - box[key])).toBeLessThanOrEqual(size / 100);
      }),
    );
  });

  it("is none where the address holds no four numbers", () => {
    for (const text of [null, "", "1,2,3", "1,2,3,x", "1,2,,4", "1,2,3,Infinity"]) expect(readBox(text)).toBeNull();
    expect(readBox("3,4,1,2")).toEqual({ x0: 1, y0: 2, x1: 3, y1: 4 });
  });

  it("is none of four texts as long as they are half written, or the wrong way round", () => {
    const text = { x0: "-0.1", y0: "0", x1: "1", y1: "2" };
    expect(boxOfText(text)).toEqual({ x0: -0.1, y0: 0, x1: 1, y1: 2 });
    for (const x0 of ["", "-", "1,5", "2", "1"]) expect(boxOfText({ ...text, x0 })).toBeNull();
  });

  it("counts all that is in it, and lists the first", () => {
    expect(inBox({ x0: 0, y0: 0, x1: 1, y1: 1 }, [0, 0.5, 2, 1], [0, 0.5, 0, 1], 2)).toEqual({ first: [0, 1], n: 3 });
  });
});

describe("labels", () => {
  const label = fc.record({
    text: fc.string({ minLength: 1, maxLength: 40 }),
    x: fc.double({ min: -50, max: 950, noNaN: true }),
    y: fc.double({ min: -50, max: 650, noNaN: true }),
    radius: fc.double({ min: 2, max: 7, noNaN: true }),
  });
  const width = (text: string) => 6 * text.length;
  const size = { width: 900, height: 600 };

  it("stand on the map, none over another, and no more than asked for", () => {
    fc.assert(
      fc.property(fc.array(label, { maxLength: 60 }), (candidates) => {
        const placed = placeLabels(candidates, width, size, 20);
        expect(placed.length).toBeLessThanOrEqual(20);
        for (const [i, one] of placed.entries()) {
          expect(one.left >= 0 && one.right <= 900 && one.top >= 0 && one.bottom <= 600).toBe(true);
          for (const other of placed.slice(i + 1)) expect(overlap(one, other)).toBe(false);
        }
      }),
    );
  });

  it("go to the first of two that collide", () => {
    const here = { x: 100, y: 100, radius: 3 };
    const placed = placeLabels(
      [
        { text: "large", ...here },
        { text: "small", ...here },
      ],
      width,
      size,
      9,
    );
    expect(placed.map((one) => one.text)).toEqual(["large"]);
  });

  it("are shortened by letters, not by halves of them", () => {
    expect(shortened("𝒜".repeat(40))).toBe(`${"𝒜".repeat(31)}…`);
    expect(shortened("short")).toBe("short");
  });
});

describe("density", () => {
  const small = fitted({ x0: -1, y0: -1, x1: 1, y1: 1 }, 120, 90);
  const points = fc.array(
    fc.tuple(fc.double({ min: -2, max: 2, noNaN: true }), fc.double({ min: -2, max: 2, noNaN: true })),
  );

  it("counts each point on the screen once, in pieces as in one", () => {
    fc.assert(
      fc.property(points, fc.integer({ min: 0, max: 100 }), (all, cut) => {
        const [x, y] = [all.map((point) => point[0]), all.map((point) => point[1])];
        const once = gridOf(small, 3);
        count(once, small, x, y, 0, x.length);
        const pieces = gridOf(small, 3);
        const middle = Math.min(cut, x.length);
        count(pieces, small, x, y, 0, middle);
        count(pieces, small, x, y, middle, x.length);
        expect(pieces).toEqual(once);
        const on = all.filter((point) => {
          const [sx, sy] = toScreen(small, ...point);
          return sx >= 0 && sy >= 0 && sx < 120 && sy < 90;
        });
        expect(once.counts.reduce((sum, n) => sum + n, 0)).toBe(on.length);
      }),
    );
  });

  it("covers more where there are more, nothing where there is none, and never hides one", () => {
    const grid = { counts: Uint32Array.from([0, 1, 10, 100_000]), columns: 4, rows: 1, cell: 1, most: 100_000 };
    const pixels = new Uint8ClampedArray(16);
    shade(grid, [1, 2, 3], pixels);
    const alpha = [3, 7, 11, 15].map((i) => pixels[i] as number);
    expect(alpha[0]).toBe(0);
    expect(alpha[1]).toBeGreaterThan(30);
    expect(alpha[2]).toBeGreaterThan(alpha[1] as number);
    expect(alpha[3]).toBe(255);
    expect([...pixels.slice(4, 7)]).toEqual([1, 2, 3]);
  });

  it("has smaller cells for more points", () => {
    expect([100, 50_000, 1_000_000].map(cellFor)).toEqual([3, 2, 2]);
  });
});

describe("the state of the map", () => {
  it("is what the address holds, and all where it holds nothing", () => {
    const none = stateOf(new URLSearchParams("sel=-1&mark=made-up&layer=x"));
    expect(none).toMatchObject({ layer: "concepts", box: null, sel: null, table: false });
    expect(none.marks).toHaveLength(5);
    const some = stateOf(new URLSearchParams("sel=7&mark=none,holds&layer=passages&view=table&words=a b"));
    expect(some).toMatchObject({ layer: "passages", sel: 7, marks: ["holds", "none"], table: true, words: "a b" });
    expect(writeMarks(some.marks)).toBe("holds,none");
    expect(writeMarks(none.marks)).toBeNull();
  });

  it("shows the concepts of the marks and words, the most frequent first", () => {
    const map = {
      latent: [1, 2, 3],
      x: [0, 0, 0],
      y: [0, 0, 0],
      name: ["A cat", null, "cats and dogs"],
      trust: ["holds" as const, "none" as const, "vague" as const],
      returns: [null, null, null],
      document_frequency: [1, 5, 9],
    };
    expect(shownConcepts(map, ["holds", "none", "vague"], "")).toEqual([2, 1, 0]);
    expect(shownConcepts(map, ["holds", "none"], "")).toEqual([1, 0]);
    expect(shownConcepts(map, ["holds", "none", "vague"], "CAT")).toEqual([2, 0]);
  });
});
