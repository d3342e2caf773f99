import { describe, expect, it } from "vitest";
import { graded, puzzle, ranksOf, saidRank } from "../src/views/evaluation/judged";
import { baselineOf, best, listed, stateOf } from "../src/views/evaluation/state";
import { brushed, difference } from "../src/views/evaluation/words";

const row = (system: string, ndcg: number) => ({
  system,
  measures: { "nDCG@10": ndcg, "R@100": 1 - ndcg },
  bytes_per_passage: null,
  ms_per_query: null,
  note: null,
});
const board = {
  split: "test",
  n_queries: 2,
  measures: ["nDCG@10", "R@100"],
  rows: [row("BM25", 0.5), row("dense", 0.7), row("twin of dense", 0.7)],
};
const of = (query: string) => stateOf(new URLSearchParams(query), board);

describe("the state", () => {
  it("compares the best with dense, or dense with the best that differs from it", () => {
    expect(of("")).toMatchObject({ a: "dense", b: "BM25", measure: "nDCG@10" });
    expect(of("measure=R@100")).toMatchObject({ a: "BM25", b: "dense", measure: "R@100" });
  });

  it("has dense as the baseline, or what was measured first", () => {
    expect(baselineOf(board)).toBe("dense");
    const undefinedHere = { ...row("CL-SR paper", 0), measures: {} };
    expect(baselineOf({ ...board, rows: [undefinedHere, row("BM25", 0.5)] })).toBe("BM25");
    expect(baselineOf({ ...board, rows: [undefinedHere] })).toBeNull();
  });

  it("leaves out what is not there", () => {
    expect(of("a=gone&b=BM25&measure=gone")).toMatchObject({ a: "dense", b: "BM25", measure: "nDCG@10" });
    expect(of("a=BM25&b=twin of dense&from=.3&to=.6&query=q1&order=losses")).toMatchObject({
      a: "BM25",
      b: "twin of dense",
      brush: { from: 0.3, to: 0.6 },
      query: "q1",
      lossesFirst: true,
    });
  });
});

const queries = [
  { query_id: "1", text: "A Cat", first: 1, second: 0.5 },
  { query_id: "2", text: "a dog", first: 0.2, second: 0.2 },
  { query_id: "3", text: "a cat again", first: 0, second: 1 },
];

describe("queries", () => {
  it("are those of the brush that have the words, gains or losses first", () => {
    expect(listed(queries, of("from=0")).map((query) => query.query_id)).toEqual(["1", "2"]);
    expect(listed(queries, of("words=CAT")).map((query) => query.query_id)).toEqual(["1", "3"]);
    expect(listed(queries, of("order=losses")).map((query) => query.query_id)).toEqual(["3", "2", "1"]);
  });
});

describe("sentences", () => {
  const found = { first: "BM25", second: "dense", measure: "nDCG@10", first_mean: 0.4, second_mean: 0.5, p: 0.0001 };

  it("say which system is ahead, and whether that is sure", () => {
    const said = difference({ ...found, low: -0.2, high: -0.05, queries });
    expect(said).toContain("BM25 with 0.400 is behind dense with 0.500 by 0.100");
    expect(said).toContain("between −0.200 and −0.050");
    expect(said).toContain("p < 0.001");
    expect(difference({ ...found, low: -0.2, high: 0.1, queries })).toContain("no difference was found");
    expect(difference({ ...found, low: 0, high: 0, queries: queries.slice(1, 2) })).toContain("the same figure");
  });

  it("say what is brushed", () => {
    expect(brushed({ from: 0.3, to: 0.6 }, "BM25", "dense")).toBe("queries that BM25 wins by 0.30 to 0.60");
    expect(brushed({ from: -0.6, to: -0.3 }, "BM25", "dense")).toBe("queries that dense wins by 0.30 to 0.60");
    expect(brushed({ from: -1, to: 1 }, "BM25", "dense")).toBe("judged queries");
  });
});

describe("figures", () => {
  it("are best where they are highest, or lowest of what is paid", () => {
    expect(best([0.1, null, 0.3], "highest")).toBe(0.3);
    expect(best([100, undefined, 30], "lowest")).toBe(30);
    expect(best([null], "lowest")).toBeUndefined();
  });

  it("of judged passages are ranks, or how deep was looked", () => {
    const ranks = ranksOf([{ passage_id: "p", rank: 3 }]);
    expect(saidRank(ranks, "p")).toBe("3");
    expect(saidRank(ranks, "q")).toBe("beyond 1");
    expect(saidRank(undefined, "p")).toBe("–");
    const [top, good] = ["p", "q"].map((passage_id) => ({ passage_id, title: "", text: "" }));
    const grades = new Map([["q", 1]]);
    expect(puzzle([top, good] as [typeof top & object, typeof good & object], grades)).toEqual([top, good]);
    expect(puzzle([good as typeof top & object], grades)).toBeNull();
    expect([0, 1, 2].map(graded)).toEqual(["not relevant", "relevant", "grade 2"]);
  });
});
