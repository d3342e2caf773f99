import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { address } from "../src/address";
import type { ProjectInfo } from "../src/project";
import { copyable, type Page, stateOf } from "../src/views/passage/state";
import {
  type Activation,
  apart,
  asQuery,
  asRead,
  beginning,
  groupOf,
  stepped,
  toMark,
} from "../src/views/passage/text";
import { searched } from "../src/views/search/state";

const word = (start: number, end: number) => ({ start, end, share: 1, value: 1 });

const active = (latent: number, activation: number, from: number | null, trust: Activation["trust"] = "holds") => ({
  latent,
  name: `c${latent}`,
  trust,
  returns: null,
  holds_from: from,
  activation,
  strongest: 1,
});

describe("a passage as the encoder reads it", () => {
  test("words of the title and of the text count from their own beginnings, in code points", () => {
    // "🌋 ash" and a blank are six code points.
    expect(apart("🌋 ash", [word(0, 1), word(2, 5), word(6, 9)])).toEqual({
      title: [word(0, 1), word(2, 5)],
      text: [word(0, 3)],
    });
    expect(apart("", [word(6, 9)])).toEqual({ title: [], text: [word(6, 9)] });
  });

  test("white space before it is not read", () => {
    expect(asRead({ title: " ", text: "\n a b" })).toEqual({ title: "", text: "a b" });
    expect(asRead({ title: " t", text: " a" })).toEqual({ title: "t", text: " a" });
  });

  test("as a query it is short, and its beginning", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 5000 }), (text) => {
        const query = asQuery({ title: "t", text });
        expect([...query].length).toBeLessThanOrEqual(2000);
        expect(`t ${text}`.startsWith(query)).toBe(true);
      }),
    );
  });

  test("a long text begins with a whole character", () => {
    expect(beginning("a ".repeat(100))).toBeNull();
    const cut = beginning("🌋".repeat(30_001)) as string;
    expect(/[\uD800-\uDBFF]$/.test(cut)).toBe(false);
  });
});

describe("concepts of a passage", () => {
  const concepts = [active(1, 0.3, null, "none"), active(2, 0.2, 0.3), active(3, 0.15, 0.1), active(4, 0.12, 0.1)];

  test("groups are those of a score's parts", () => {
    expect(concepts.map(groupOf)).toEqual(["unnamed", "traces", "named", "named"]);
  });

  test("marked is what is selected, else the strongest with a colour, else the strongest named", () => {
    expect(toMark(concepts, 1, [])).toBe(1);
    expect(toMark(concepts, null, [4])).toBe(4);
    expect(toMark(concepts, null, [])).toBe(3);
    expect(toMark(concepts.slice(0, 2), null, [])).toBeNull();
  });

  test("keys walk through the list and stop at its ends", () => {
    expect(stepped(concepts, null, 1)).toBe(1);
    expect(stepped(concepts, 2, 1)).toBe(3);
    expect(stepped(concepts, 1, -1)).toBe(1);
    expect(stepped(concepts, 4, 1)).toBe(4);
    expect(stepped([], 4, 1)).toBeNull();
  });
});

describe("the search that led to a passage", () => {
  const given = "q=warm+wind&system=CL-SR&boost=3:2&ban=5,7&where=page%3Dfoehn&where=kind%3Dwind&sel=3";
  const state = stateOf(new URLSearchParams(`id=p1&${given}`));
  const of = { passage_id: "p1" } as Page;
  const project = { path: "demo", steerable: { "CL-SR": ["boosts", "banned", "allowed"], BM25: ["allowed"] } };
  const copied = (system: string) => copyable(of, { ...state, system }, null, project as unknown as ProjectInfo);

  test("is what the way back leads to, with all that bends it", () => {
    expect(new URL(address("/search", searched(state)), "http://x").search).toBe(`?${given}`);
  });

  test("is asked with when the score is explained, by command, Python and address", () => {
    const { command, python, json } = copied("CL-SR");
    expect(command).toBe("unweave explain --system CL-SR --boost 3=2 -- demo 'warm wind' p1");
    expect(python).toContain('explain("warm wind", "p1", system="CL-SR", steering=uw.Steering(boosts={3: 2}))');
    expect(json).toBe(
      "/api/explain?q=warm+wind&system=CL-SR&passage=p1&boost=3%3A2&ban=5&ban=7&where=page%3Dfoehn&where=kind%3Dwind",
    );
  });

  test("does not bend a system that takes no steering", () => {
    const { command, json } = copied("BM25");
    expect(command).toBe("unweave explain --system BM25 -- demo 'warm wind' p1");
    expect(json).not.toContain("boost");
    expect(json).toContain("where");
  });
});
