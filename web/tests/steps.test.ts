import { describe, expect, it } from "vitest";
import { fact } from "../src/views/project/facts";
import { next, steps } from "../src/views/project/steps";

const project = (stages: Record<string, "there" | "stale" | "missing" | "damaged">, n_judged = 3) => ({
  name: "demo",
  path: "demo",
  version: "0.1.0",
  n_passages: 10_033,
  n_queries: 3,
  n_judged,
  n_concepts: 20,
  marks: { holds: 8, vague: 2, none: 4, confirmed: 0, unscored: 6 },
  n_returning: null,
  encoder: "model",
  dictionary: "own",
  systems: ["dense"],
  steerable: {},
  metadata: {},
  stages: Object.entries(stages).map(([name, state]) => ({ name, state, said: `${name} is ${state}.` })),
  unapplied: [],
  examples: [],
  words: true,
  read_only: false,
});

describe("the steps of a project", () => {
  it("wait for the one before them, and the first that is missing is next", () => {
    const half = project({ corpus: "there", "embeddings/passages": "there", sae: "missing", concepts: "missing" });
    const all = steps(half);
    expect(all.map((step) => [step.name, step.state])).toEqual([
      ["Corpus", "there"],
      ["Embeddings", "there"],
      ["Dictionary", "missing"],
      ["Names", "missing"],
      ["Index", "missing"],
      ["Evaluation", "missing"],
    ]);
    expect(next(all)?.name).toBe("Dictionary");
    expect(all.map((step) => step.waitsFor)).toEqual([null, null, null, "dictionary", "dictionary", "index"]);
    expect(fact(all[3] as (typeof all)[number], half)).toBe("Waits for the dictionary.");
  });

  it("are out of date, or damaged, if any part of theirs is, and say why", () => {
    const [, , , names, index] = steps(
      project({ concepts: "there", "index/default": "there", bm25: "stale", codes: "damaged" }),
    );
    expect(names?.state).toBe("there");
    expect(index?.state).toBe("damaged");
    expect(index?.said).toEqual(["bm25 is stale.", "codes is damaged."]);
  });

  it("that most projects do without are there only if they were taken", () => {
    expect(steps(project({})).map((step) => step.name)).not.toContain("Tokens");
    expect(steps(project({ "tokens/sae": "there" })).map((step) => step.name)).toContain("Tokens");
  });

  it("are told in figures", () => {
    const whole = project({ corpus: "there", concepts: "there", sae: "there" }, 0);
    const said = steps(whole).map((step) => fact(step, whole));
    expect(said[0]).toBe("10,033 passages, no judged queries");
    expect(said[3]).toBe("20 concepts named, 14 judged; 8 names hold");
    expect(said[5]).toBe("Waits for the index.");
  });
});
