/** What there is of each step, in figures and words. */
import type { Shape } from "../../api/client";
import { count, counted } from "../../parts/figures";
import type { Step } from "./steps";

type Project = Shape<"ProjectInfo">;

const MISSING: Record<string, string> = {
  Embeddings: "Not embedded yet.",
  Dictionary: "Not trained yet; a ready one is taken if it fits the encoder.",
  Names: "Not named yet.",
  Index: "Not built yet; dense search works without it.",
  Evaluation: "Not evaluated yet.",
};

export function fact(step: Step, project: Project): string {
  if (step.waitsFor !== null) return `Waits for the ${step.waitsFor}.`;
  if (step.name === "Evaluation" && project.n_judged === 0) return "Needs judged queries.";
  if (step.state === "missing") return MISSING[step.name] ?? "Not made yet.";
  return there(step, project);
}

function there(step: Step, project: Project): string {
  switch (step.name) {
    case "Corpus":
      return `${counted(project.n_passages, "passage")}, ${
        project.n_judged === 0 ? "no judged queries" : counted(project.n_judged, "judged query", "judged queries")
      }`;
    case "Embeddings":
      return project.encoder;
    case "Dictionary":
      return DICTIONARY[project.dictionary] ?? project.dictionary;
    case "Names":
      return names(project);
    case "Index":
      return `Search by ${project.systems.join(", ")}`;
    case "Evaluation":
      return counted(project.n_judged, "judged query", "judged queries");
    case "Tokens":
      return "Concepts of single tokens, indexed beside those of whole texts";
    case "Map":
      return "Where concepts and passages stand to each other";
    default:
      return "";
  }
}

const DICTIONARY: Record<string, string> = {
  pretrained: "A pretrained one, carried on with this corpus",
  own: "Trained on this corpus",
};

function names(project: Project): string {
  const concepts = counted(project.n_concepts ?? 0, "concept");
  const marks = project.marks;
  const judged = (marks.holds ?? 0) + (marks.vague ?? 0) + (marks.none ?? 0) + (marks.confirmed ?? 0);
  const parts = [`${concepts} named`, `${count(judged)} judged`];
  const said = [`${parts.join(", ")}; ${count(marks.holds ?? 0)} names hold`];
  if (marks.confirmed) said.push(`${count(marks.confirmed)} confirmed by a person`);
  if (project.n_returning !== null) said.push(`${count(project.n_returning)} concepts return`);
  return said.join(", ");
}
