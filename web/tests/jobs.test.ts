import { describe, expect, it } from "vitest";
import { between, byModel, clock, left, leftSaid, nameOf, part, reached, short, took } from "../src/parts/jobwords";
import { outcome } from "../src/views/jobs/earlier";

const job = (steps: [label: string, done: number, total: number][], kind = "name", command = "unweave name mine") => ({
  id: "00000000",
  kind,
  asked: { kind: "name" as const, namer: null, most: null },
  state: "running" as const,
  began: "2026-01-01T00:00:00+00:00",
  ended: null,
  steps: steps.map(([label, done, total]) => ({ label, done, total, unit: "concepts" })),
  lines: [],
  result: [] as string[],
  error: null,
  command,
  spent: null,
});

describe("a job", () => {
  it("is as far as the step that was begun last", () => {
    expect(
      short(
        job([
          ["gathering", 9, 10],
          ["naming", 3725, 6107],
        ]),
      ),
    ).toBe("naming 61 %");
    expect(short(job([]))).toBe("naming");
    expect(short(job([["x", 3, 0]], "evaluate"))).toBe("evaluating");
  });

  it("that ended says what came of it, and how far it came where nothing did", () => {
    const ended = job([["naming", 3, 9]]);
    expect(outcome({ ...ended, lines: ["halfway"] })).toBe("3 of 9 concepts");
    expect(outcome({ ...ended, result: ["named 9"] })).toBe("named 9");
    expect(outcome({ ...ended, result: ["named 9", "related 9", "kept 3"] })).toBe("named 9; and 2 more");
    expect(outcome({ ...ended, error: "in use" })).toBe("in use");
  });

  it("costs where a language model is asked", () => {
    const paid = job([], "name", "unweave name mine --namer language-model --most 5");
    expect(byModel(paid)).toBe(true);
    expect(nameOf(paid)).toBe("Naming with a language model");
    expect(byModel(job([], "name", "unweave name language-model"))).toBe(false);
    expect(nameOf(job([]))).toBe("Naming by keyphrases");
  });

  it("says how far a step is, also where nobody knows the whole", () => {
    expect(reached({ label: "", unit: "concepts", done: 3725, total: 6107 })).toBe("3,725 of 6,107 concepts");
    expect(reached({ label: "", unit: "texts", done: 12, total: 0 })).toBe("12 texts");
    expect(part({ label: "", unit: "", done: 12, total: 10 })).toBe(1);
    expect(part(undefined)).toBe(0);
  });
});

describe("time", () => {
  it("that is left follows the rate since the step was first seen", () => {
    const step = { label: "naming", unit: "concepts", done: 30, total: 90 };
    expect(left(step, { label: "naming", at: 0, done: 10 }, 10)).toBe(30);
    expect(left(step, { label: "naming", at: 0, done: 30 }, 10)).toBeNull();
    expect(left(step, { label: "judging", at: 0, done: 10 }, 10)).toBeNull();
    expect(left(step, { label: "naming", at: 9, done: 10 }, 10)).toBeNull();
  });

  it("is said as people say it", () => {
    expect([0.2, 41, 72, 7260].map(took)).toEqual(["under 1 s", "41 s", "1 min 12 s", "2 h 1 min"]);
    expect([2, 42, 420, 9000].map(leftSaid)).toEqual([
      "a few seconds left",
      "about 40 seconds left",
      "about 7 minutes left",
      "about 3 hours left",
    ]);
    expect(between("2026-01-01T00:00:00+00:00", "2026-01-01T00:00:41+00:00")).toBe(41);
    expect(between("2026-01-01T00:00:00+00:00", null)).toBeNull();
    expect(clock("no time")).toBe("no time");
    expect(clock("2026-01-01T12:00:00", new Date("2026-01-02T12:00:00"))).toMatch(/^2026-01-01 12:00$/);
  });
});
