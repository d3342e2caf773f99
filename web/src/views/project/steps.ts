/** The artefacts of a project as the steps in which a person makes them. */
import type { Shape } from "../../api/client";
import type { Kind } from "../../parts/jobs";

type Project = Shape<"ProjectInfo">;
type State = Shape<"Stage">["state"];

interface Recipe {
  name: string;
  /** Below the project's folder; without the first, the step was not taken. */
  artifacts: string[];
  command: string;
  /** None for what only a person can make. */
  job: Kind | null;
  /** The step that this one needs. */
  after: string | null;
  /** Shown only where it is there: most projects do without. */
  optional?: boolean;
}

const RECIPES: Recipe[] = [
  { name: "Corpus", artifacts: ["corpus", "queries"], command: "init", job: null, after: null },
  {
    name: "Embeddings",
    artifacts: ["embeddings/passages", "sentences", "embeddings/sentences", "embeddings/queries"],
    command: "embed",
    job: "embed",
    after: "Corpus",
  },
  { name: "Dictionary", artifacts: ["sae", "latents"], command: "fit", job: "fit", after: "Embeddings" },
  { name: "Names", artifacts: ["concepts"], command: "name", job: "name", after: "Dictionary" },
  {
    name: "Index",
    artifacts: ["index/default", "index/paper", "bm25", "codes"],
    command: "index build",
    job: "index",
    after: "Dictionary",
  },
  {
    name: "Tokens",
    artifacts: ["tokens/sae", "tokens/latents", "index/tokens"],
    command: "tokens",
    job: "tokens",
    after: "Embeddings",
    optional: true,
  },
  { name: "Evaluation", artifacts: ["evaluation"], command: "evaluate", job: "evaluate", after: "Index" },
  { name: "Map", artifacts: ["map"], command: "map", job: "map", after: "Names", optional: true },
];

export interface Step extends Recipe {
  state: State;
  /** What the server says of the artefacts that are out of date or damaged. */
  said: string[];
  /** The step that has to come first, in the words of the page. */
  waitsFor: string | null;
}

/** The steps of a project in their order. */
export function steps(project: Project): Step[] {
  const known = new Map(project.stages.map((stage) => [stage.name, stage]));
  const stateOf = (recipe: Recipe): State => {
    const found = recipe.artifacts.flatMap((name) => known.get(name) ?? []);
    const worst = (["damaged", "stale"] as const).find((state) => found.some((stage) => stage.state === state));
    if (worst) return worst;
    return known.get(recipe.artifacts[0] as string)?.state ?? "missing";
  };
  const states = new Map(RECIPES.map((recipe) => [recipe.name, stateOf(recipe)]));
  return RECIPES.filter((recipe) => !recipe.optional || states.get(recipe.name) !== "missing").map((recipe) => ({
    ...recipe,
    state: states.get(recipe.name) as State,
    said: recipe.artifacts.flatMap((name) => {
      const stage = known.get(name);
      return stage?.state === "stale" || stage?.state === "damaged" ? [stage.said] : [];
    }),
    waitsFor: recipe.after !== null && states.get(recipe.after) === "missing" ? recipe.after.toLowerCase() : null,
  }));
}

/** The first step that is missing and that nothing else holds up. */
export function next(all: Step[]): Step | undefined {
  return all.find((step) => step.state === "missing" && step.waitsFor === null && step.job !== null);
}
