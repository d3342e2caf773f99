import { describe, expect, test } from "vitest";
import { chosen, elsewhere, ordinal, ranks, shared } from "../src/views/search/overlap";

const columns = [
  { system: "dense", ids: ["a", "b", "c"] },
  { system: "BM25", ids: ["c", "d"] },
  { system: "CL-SR", ids: ["b", "c"] },
];

describe("systems side by side", () => {
  test("where others have a passage", () => {
    expect(elsewhere("c", "dense", columns)).toBe("also 1st in BM25, 2nd in CL-SR");
    expect(elsewhere("d", "BM25", columns)).toBe("in no other");
    expect(ranks("b", columns)).toEqual([2, null, 1]);
    expect(shared(["a", "b"], ["b", "x"])).toBe(1);
  });

  test("ordinals", () => {
    expect([1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(ordinal)).toEqual([
      "1st",
      "2nd",
      "3rd",
      "4th",
      "11th",
      "12th",
      "13th",
      "21st",
      "102nd",
      "111th",
    ]);
  });

  test("systems of the address, or the usual ones", () => {
    const known = ["CL-SR", "tokens", "dense", "BM25"];
    expect(chosen(null, known)).toEqual(["dense", "BM25", "CL-SR", "tokens"]);
    expect(chosen("tokens,nonsense,BM25 + dense", known)).toEqual(["tokens", "BM25 + dense"]);
  });
});
