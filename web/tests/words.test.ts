/** Marked words keep their place whatever the text is written in, and a snippet shows the strongest. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { snippet, stretches, strongest, type Word } from "../src/score/words";

const word = (start: number, end: number, share = 1): Word => ({ start, end, share, value: share });

test("counts in code points, after the title", () => {
  const text = "🌋 lava flows";
  const points = [...text];
  const marked = strongest([word(8, 12), word(0, 5), word(13, 18, 0.3)], "Title".length + 1, points.length);
  expect(stretches(points, marked, 0, points.length)).toEqual([
    { text: "🌋 ", share: null },
    { text: "lava", share: 1 },
    { text: " flows", share: null },
  ]);
});

test("no character is lost, whatever the words are", () => {
  const some = fc.array(fc.tuple(fc.nat(60), fc.nat(60)).map(([a, b]) => word(Math.min(a, b), Math.max(a, b))));
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", maxLength: 60 }), some, fc.nat(10), (text, words, skip) => {
      const points = [...text];
      const marked = strongest(words, skip, points.length);
      expect(
        stretches(points, marked, 0, points.length)
          .map((s) => s.text)
          .join(""),
      ).toBe(text);
      const [from, to] = snippet(points, marked, 20);
      expect(from).toBeGreaterThanOrEqual(0);
      expect(to).toBeLessThanOrEqual(points.length);
      expect(to - from).toBeLessThanOrEqual(20);
    }),
  );
});

test("begins at the sentence of the strongest words", () => {
  const points = [
    ..."Islands are land that stands above the sea. A volcano is a vent in the crust of a planet that lets lava out. The end comes late.",
  ];
  const at = points.join("").indexOf("lava");
  expect(snippet(points, [word(at, at + 4)], 80)).toEqual([44, 122]);
});
