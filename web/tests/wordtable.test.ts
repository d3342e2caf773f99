import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { wordTable } from "../src/views/passage/wordtable";

const word = fc.constantFrom("how", "How", "tax", "the", "volcano", "[CLS]", "(rounding)", "ash", "to");

const made = fc
  .tuple(fc.array(word, { minLength: 1, maxLength: 12 }), fc.array(word, { minLength: 1, maxLength: 40 }))
  .chain(([query_words, words]) => {
    const row = fc.array(fc.double({ min: -1, max: 1, noNaN: true }), {
      minLength: words.length,
      maxLength: words.length,
    });
    return fc
      .array(row, { minLength: query_words.length, maxLength: query_words.length })
      .map((pairs) => ({ passage_id: "p", query_words, words, pairs, score: pairs.flat().reduce((a, b) => a + b, 0) }));
  });

describe("word table", () => {
  test("signs stand in the fold, until every word is shown", () => {
    const words = [",", "[CLS]", "ash", "(rounding)", "火山"];
    const of = { passage_id: "p", query_words: ["a"], words, pairs: [[9, 8, 1, 7, 2]], score: 27 };
    expect(wordTable(of, 8, 12).rows.map((row) => row.label)).toEqual(["火山", "ash", "others"]);
    expect(wordTable(of, 8, 12).largest).toBe(2);
    expect(wordTable(of, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY).rows.map((row) => row.label)).toEqual([
      ",",
      "[CLS]",
      "(rounding)",
      "火山",
      "ash",
    ]);
  });

  test("cells, with the folds, add up to the score, by rows and by columns", () => {
    fc.assert(
      fc.property(made, fc.nat({ max: 6 }), fc.nat({ max: 9 }), (of, columns, rows) => {
        const found = wordTable(of, columns, rows);
        expect(found.cells.flat().reduce((a, b) => a + b, 0)).toBeCloseTo(of.score, 9);
        expect(found.sum).toBeCloseTo(of.score, 9);
        expect(found.columnSums.reduce((a, b) => a + b, 0)).toBeCloseTo(of.score, 9);
        expect(found.rows.reduce((n, row) => n + row.n, 0)).toBe(of.words.length);
        expect(found.columns.reduce((n, column) => n + column.n, 0)).toBe(of.query_words.length);
        expect(found.rows.length).toBeLessThanOrEqual(rows + 1);
        expect(found.columns.length).toBeLessThanOrEqual(columns + 1);
      }),
    );
  });

  test("words stand by strength, those of the query in its order, and folds last", () => {
    const pairs = [
      [0.1, 0.0, 0.02, 0.0],
      [0.3, -0.4, 0.02, 0.01],
      [0.0, 0.0, 0.01, 0.0],
      [0.0, 0.0, 0.01, 0.0],
    ];
    const of = {
      passage_id: "p",
      query_words: ["a", "b", "c", "d"],
      words: ["Ash", "ice", "ash", "x"],
      pairs,
      score: 0.08,
    };
    const found = wordTable(of, 2, 1);
    expect(found.columns.map((column) => column.label)).toEqual(["a", "b", "others"]);
    expect(found.rows.map((row) => [row.label, row.n])).toEqual([
      ["Ash", 2],
      ["others", 2],
    ]);
  });
});
