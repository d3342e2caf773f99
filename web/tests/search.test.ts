/** The state of a search is its address; commands are those that the command line takes; undo takes one change back. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { copied } from "../src/views/search/command";
import { movesOf } from "../src/views/search/moves";
import { openedAs, openedOf, withFold, withSum } from "../src/views/search/opened";
import { moved } from "../src/views/search/sliding";
import { linesOf } from "../src/views/search/slope";
import { banned, boosted, pairOf, stateOf, stopped } from "../src/views/search/state";
import { isSteerable, nameOf, offered, sumOf } from "../src/views/search/sums";
import { wordsOfTerms } from "../src/views/search/terms";
import { lastBefore, remember, takeBack } from "../src/views/search/undo";

const read = (query: string) => stateOf(new URLSearchParams(query), "dense");

describe("the address", () => {
  test("holds the whole state", () => {
    const pair = encodeURIComponent(pairOf("a,b", "c%"));
    const query = `q=lava&system=codes&boost=1911:1.5,5459:0&ban=3,4&where=topic=Arts&sel=253&k=20&compare=${pair}`;
    const state = read(query);
    expect(state).toMatchObject({
      q: "lava",
      system: "codes",
      bans: [3, 4],
      where: ["topic=Arts"],
      selected: 253,
      k: 20,
    });
    expect([...state.boosts]).toEqual([
      [1911, 1.5],
      [5459, 0],
    ]);
    expect(state.compare).toEqual(["a,b", "c%"]);
  });

  test("takes whatever stands there", () => {
    fc.assert(
      fc.property(fc.webQueryParameters(), fc.string(), (query, boost) => {
        const state = stateOf(
          new URLSearchParams(`${query}&boost=${boost}&ban=${boost}&k=${boost}&compare=${boost}`),
          "dense",
        );
        expect(state.k).toBeGreaterThanOrEqual(1);
        expect(state.k).toBeLessThanOrEqual(100);
        for (const [latent, factor] of state.boosts)
          expect(Number.isFinite(latent) && Number.isFinite(factor)).toBe(true);
      }),
    );
    expect(read("boost=x,1:2:3,5:1,7:-0.5&ban=-1,2,2")).toMatchObject({ bans: [2] });
    expect([...read("boost=x,1:2:3,5:1,7:-0.5").boosts]).toEqual([[7, -0.5]]);
  });

  test("a weight of 1 is none, and the ends of a slider hold", () => {
    expect(boosted(read("q=a&boost=1:2"), 1, 1)).toEqual({ boost: null, ban: null });
    expect(boosted(read("q=a&boost=1:2"), 3, 0.30000000000000004)).toEqual({ boost: "1:2,3:0.3", ban: null });
    expect(boosted(read("q=a"), 3, 9).boost).toBe("3:3");
    expect(banned(read("q=a&ban=1,2"), 1).ban).toBe("2");
    expect([0.1, 0.5, 1.1, 2.14, 2.2].map(stopped)).toEqual([0, 0.5, 1, 2, 2.2]);
  });
});

test("undo takes one change back, and what Back took is skipped", () => {
  const none = { boost: null, ban: null };
  const one = { boost: "1:2", ban: null };
  const two = { boost: "1:2", ban: "3" };
  remember("lava", none);
  remember("lava", one);
  expect(lastBefore("lava", two)).toEqual(one);
  expect(takeBack("lava", one)).toEqual(none); // Back was pressed: the steering is `one` again
  expect(takeBack("lava", none)).toBeNull();
  expect(lastBefore("other", none)).toBeNull();
});

describe("copy as", () => {
  const state = read("q=the+cat's+tail&system=BM25+%2B+2+codes&boost=1911:1.5&ban=4&where=topic=Fine+arts&k=20");

  test("gives the command", () => {
    expect(copied(state, "my project").command).toBe(
      `unweave search 'my project' 'the cat'"'"'s tail' --system 'BM25 + 2 codes' -k 20 --boost 1911=1.5 --ban 4 --where 'topic=Fine arts' --explain`,
    );
    expect(copied(read("q=-x"), "mine").command).toBe("unweave search --system dense --explain -- mine -x");
  });

  test("gives Python and JSON of the same", () => {
    const { python, json } = copied(state, "mine");
    expect(python).toContain(
      `steering=uw.Steering(boosts={1911: 1.5}, banned=[4], allowed=project.where({"topic": "Fine arts"}, system="BM25 + 2 codes"))`,
    );
    expect(json).toBe(
      "/api/search?q=the+cat%27s+tail&system=BM25+%2B+2+codes&k=20&boost=1911%3A1.5&ban=4&where=topic%3DFine+arts",
    );
  });
});

describe("sums of systems", () => {
  test("are read and written as the server does", () => {
    expect(sumOf("dense")).toBeNull();
    for (const name of ["BM25 + 2 codes", "0.5 BM25 + dense + CL-SR by rank"]) {
      const sum = sumOf(name);
      expect(sum && nameOf(sum)).toBe(name);
    }
    expect(offered(["BM25", "dense", "codes"], "dense")).toEqual([
      "dense",
      "BM25",
      "codes",
      "BM25 + 2 codes",
      "BM25 + dense",
    ]);
  });

  test("take boosts if one of their systems does", () => {
    const steerable = { BM25: ["allowed"], codes: ["boosts"], tokens: ["boosts"] };
    expect(isSteerable("BM25", steerable)).toBe(false);
    expect(isSteerable("BM25 + 2 codes", steerable)).toBe(true);
    expect(isSteerable("tokens + codes", steerable)).toBe(false);
  });
});

test("moves are said in a sentence, and drawn", () => {
  const hit = (rank: number, before: number | null, title: string) => ({
    rank,
    title,
    passage_id: title,
    score: 1,
    text: "",
    n_characters: 0,
    explanation: null,
    unsteered: { rank: before, score: 1 },
  });
  const left = [
    { passage_id: "l", title: "Lava", rank: 1, now: 19 },
    { passage_id: "9", title: "", rank: 3, now: null },
  ];
  const result = { query: "", system: "dense", hits: [hit(1, 2, "A"), hit(2, null, "B")], left, n_passages: 9, ms: 1 };
  expect(movesOf(result)).toBe("2 of 2 hits moved; Lava fell to 19 and Passage 9 left.");
  expect(linesOf(result)).toEqual([
    { title: "A", before: 2, after: 1 },
    { title: "B", before: null, after: 2 },
    { title: "Lava", before: 1, after: null },
  ]);
});

test("BM25's stems are found in the words of a text, in code points", () => {
  const text = "🌋 Volcanoes and a do-it-yourself volcano";
  const found = wordsOfTerms(text, ["volcano", "do"]).map(({ start, end }) => [...text].slice(start, end).join(""));
  expect(found).toEqual(["Volcanoes", "do", "volcano"]);
});

describe("what is open", () => {
  const opened = (query: string) => read(query).opened;

  test("is in the address, each sum with its folds", () => {
    expect([...opened("open=a%252Cb:traces:BM25%252Fbias,c")]).toEqual([
      ["a,b", ["traces", "BM25/bias"]],
      ["c", []],
    ]);
    expect(openedAs(withFold(withSum(opened("open=c"), "a:b"), "a:b", "traces"))).toBe("c,a%3Ab:traces");
    expect(openedAs(withFold(opened("open=c:traces"), "c", "traces"))).toBe("c");
    expect(openedAs(withSum(opened("open=c:traces"), "c"))).toBeNull();
  });

  test("is read as it was written, whatever the ids are", () => {
    const text = fc.string({ minLength: 1, maxLength: 20, unit: "binary" });
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.tuple(text, fc.uniqueArray(text, { maxLength: 3 })), {
          maxLength: 5,
          selector: ([id]) => id,
        }),
        (all) => {
          const params = new URLSearchParams({ open: openedAs(new Map(all)) ?? "" });
          expect([...openedOf(new URLSearchParams(params.toString()))]).toEqual(all);
        },
      ),
    );
  });

  test("stays short enough for an address: what was opened first closes", () => {
    const many = new Map(Array.from({ length: 100 }, (_, i): [string, string[]] => [`${i}`.padStart(100, "x"), []]));
    const kept = [...openedOf(new URLSearchParams({ open: openedAs(many) ?? "" })).keys()];
    expect(kept).toEqual([...many.keys()].slice(-kept.length));
    expect(kept.length).toBeGreaterThan(20);
    expect(kept.length).toBeLessThan(41);
  });
});

test("hits slide when others are there or their order changes, not when a sum opens among them", () => {
  const tops = (...names: string[]) => new Map(names.map((name, i) => [name, 90 * i]));
  expect(moved(tops("a", "b", "c"), tops("b", "a", "c"))).toBe(true);
  expect(moved(tops("a", "b", "c"), tops("a", "c"))).toBe(true);
  expect(moved(tops("a", "b"), new Map(Object.entries({ a: 0, b: 400 })))).toBe(false);
});
