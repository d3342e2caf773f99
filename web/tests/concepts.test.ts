import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { said, when } from "../src/parts/edits";
import { Pages } from "../src/parts/pages";
import { bars, equal, ticks, whisker } from "../src/parts/scale";
import { having } from "../src/views/concepts/families";
import { copyable, filters, forServer, readQuery, sorted } from "../src/views/concepts/query";

const FRAME = { width: 100, height: 90, gap: 0 };

describe("bars", () => {
  it("are linear, and split where the name begins to hold", () => {
    const found = bars([0, 1, 2], [2, 4], 1.5, FRAME);
    expect(found).toEqual([
      { x: 0, y: 45, width: 50, height: 45, over: false, bin: 0 },
      { x: 50, y: 0, width: 25, height: 90, over: false, bin: 1 },
      { x: 75, y: 0, width: 25, height: 90, over: true, bin: 1 },
    ]);
  });
  it("have square-root heights in sparks", () => {
    const [low] = bars([0, 1, 2], [1, 4], null, { ...FRAME, root: true });
    expect(low?.height).toBe(45);
  });
  it("cover the width of what they stand for, whatever the line", () => {
    const counts = fc.array(fc.nat(50), { minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(counts, fc.double({ min: 0, max: 2, noNaN: true }), (of, holds) => {
        const found = bars(equal(of.length, 1), of, holds, FRAME);
        const width = found.reduce((sum, bar) => sum + bar.width, 0);
        const filled = of.filter((n) => n > 0).length;
        expect(width).toBeCloseTo((100 * filled) / of.length, 6);
        for (const bar of found) {
          if (bar.over) expect(bar.x).toBeGreaterThanOrEqual(Math.min(100, holds * 100) - 1e-6);
          else expect(bar.x + bar.width).toBeLessThanOrEqual(holds * 100 + 1e-6);
        }
      }),
    );
  });
});

describe("ticks", () => {
  it("are round", () => {
    expect(ticks(0.4)).toEqual([0, 0.1, 0.2, 0.3, 0.4]);
    expect(ticks(1.2)).toEqual([0, 0.2, 0.4, 0.6, 0.8, 1, 1.2]);
    expect(ticks(0)).toEqual([0]);
  });
  it("begin at zero, stay below the end, and are few", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-3, max: 1e4, noNaN: true }), (top) => {
        const found = ticks(top);
        expect(found[0]).toBe(0);
        expect(found.at(-1)).toBeLessThanOrEqual(top * (1 + 1e-5));
        expect(found.length).toBeGreaterThanOrEqual(3);
        expect(found.length).toBeLessThanOrEqual(8);
      }),
    );
  });
});

describe("whisker", () => {
  it("stands between the edges, the dot within the whisker", () => {
    const share = fc.double({ min: 0, max: 1, noNaN: true });
    fc.assert(
      fc.property(share, share, share, (value, low, high) => {
        const at = whisker({ value, low, high, chance: 0.5 }, 120, 3);
        expect(at.low).toBeLessThanOrEqual(at.dot);
        expect(at.high).toBeGreaterThanOrEqual(at.dot);
        expect(at.low).toBeGreaterThanOrEqual(3);
        expect(at.high).toBeLessThanOrEqual(117);
        expect(at.chance).toBe(60);
      }),
    );
  });
});

describe("pages", () => {
  it("ask for what is in view, once, and again after a failure", () => {
    const pages = new Pages<number>(10);
    expect(pages.missing(0, 25)).toEqual([0, 1, 2]);
    pages.begin(0);
    expect(pages.missing(0, 5)).toEqual([]);
    pages.fail(0);
    expect(pages.missing(0, 5)).toEqual([0]);
    pages.put(0, [...Array(10).keys()], 15);
    expect(pages.missing(0, 99)).toEqual([1]);
    expect(pages.at(9)).toBe(9);
    expect(pages.at(10)).toBeUndefined();
    expect([...pages].at(-1)).toEqual([9, 9]);
  });
  it("keep those around the view when there are too many", () => {
    const pages = new Pages<number>(1, 3);
    for (const page of [0, 1, 2, 3, 4]) pages.put(page, [page], 5);
    expect([0, 1, 2, 3, 4].map((i) => pages.at(i))).toEqual([undefined, undefined, 2, 3, 4]);
    expect(pages.missing(0, 4)).toEqual([0, 1]);
  });
});

describe("the table's address", () => {
  const query = (address: string) => readQuery(new URLSearchParams(address));
  it("has defaults that fit", () => {
    expect(query("")).toMatchObject({ sort: "df", descending: true, trust: [], returns: null, flag: null });
    expect(query("text=ash")).toMatchObject({ sort: "activation", descending: true });
    expect(query("sort=activation")).toMatchObject({ sort: "df" });
    expect(query("sort=name")).toMatchObject({ sort: "name", descending: false });
    expect(query("trust=holds,nonsense,none&returns=false").trust).toEqual(["holds", "none"]);
  });
  it("asks the server for no empty filter", () => {
    expect(forServer(query(""))).toEqual({ sort: "df", descending: true });
    expect(forServer(query("words=ash&returns=false"))).toMatchObject({ words: "ash", returns: false });
    expect(filters(query("returns=false"))).toBe(true);
    expect(filters(query("sort=name"))).toBe(false);
  });
  it("turns the order of the column that it is sorted by", () => {
    expect(sorted(query(""), "df")).toEqual({ sort: "df", descending: "false" });
    expect(sorted(query(""), "name")).toEqual({ sort: "name", descending: "false" });
    expect(sorted(query(""), "holds")).toEqual({ sort: "holds", descending: "true" });
  });
  it("is a command, Python and JSON", () => {
    const of = copyable(query("words=red+ash&trust=holds&flag=hub"), "my project");
    expect(of.command).toBe("unweave concepts list 'my project' --grep='red ash' --trust holds --flag=hub");
    expect(of.python).toContain('"red" in (c.name or "").casefold() and "ash" in');
    expect(of.json).toBe("/api/concepts?sort=df&descending=true&words=red+ash&flag=hub&trust=holds");
    expect(copyable(query("text=it's"), "p").command).toBe(`unweave concepts list p --text='it'"'"'s'`);
    const all = "trust=holds,vague&returns=false&flagged=true&sort=latent";
    expect(copyable(query(all), "p").command).toBe(
      "unweave concepts list p --trust holds --trust vague --no-returns --flagged --sort latent --ascending",
    );
    expect(forServer(query(all))).toMatchObject({ flagged: true, returns: false, descending: false });
    expect(filters(query("flagged=true"))).toBe(true);
  });
});

describe("what was changed", () => {
  const edit = (action: string, before: string | null, after: string | null) =>
    said({ number: 1, made: "", action, latent: 2, before, after, undone: false }).join("");
  it("is said", () => {
    expect(edit("rename", "ash", "lava")).toBe("Renamed from ash to lava");
    expect(edit("rename", null, "lava")).toBe("Named lava");
    expect(edit("flag", "hub", null)).toBe("Remark taken away: hub");
    expect(edit("merge", null, "#5")).toBe("Merged into #5");
  });
  it("has its time, with the year if it is another", () => {
    const now = new Date(2026, 5, 1);
    expect(when(new Date(2026, 10, 28, 9, 4).toISOString(), now)).toBe("28 Nov, 09:04");
    expect(when(new Date(2025, 0, 2, 13, 0).toISOString(), now)).toBe("2 Jan 2025, 13:00");
  });
});

describe("families", () => {
  const related = (other: number, name: string | null) => ({ relation: "family", other, name, trust: null, weight: 1 });
  const family = {
    head: related(1, "Court, legal"),
    members: [related(2, null), related(3, "jury")],
    trust: "holds" as const,
  };
  it("are found by the names of their concepts", () => {
    expect(having([family], "JURY")).toHaveLength(1);
    expect(having([family], "legal court")).toHaveLength(1);
    expect(having([family], "legal jury")).toHaveLength(0);
    expect(having([family], " ")).toHaveLength(1);
  });
});
