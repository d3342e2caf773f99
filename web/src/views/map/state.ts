/** What the address of the map holds, and which concepts it shows. */
import type { Shape } from "../../api/client";
import type { Trust } from "../../parts/mark";
import { isIn, readBox } from "./box";
import type { Box } from "./frame";

export type Layer = "concepts" | "passages";
export const MARKS: Trust[] = ["confirmed", "holds", "vague", "none", "unscored"];

export interface State {
  layer: Layer;
  box: Box | null;
  /** The selected concept. */
  sel: number | null;
  marks: Trust[];
  words: string;
  table: boolean;
}

export function stateOf(params: URLSearchParams): State {
  const asked = params.get("mark")?.split(",") ?? [];
  const marks = MARKS.filter((mark) => asked.includes(mark));
  const sel = params.get("sel") ?? "";
  return {
    layer: params.get("layer") === "passages" ? "passages" : "concepts",
    box: readBox(params.get("box")),
    sel: /^\d{1,9}$/.test(sel) ? Number(sel) : null,
    marks: marks.length > 0 ? marks : MARKS,
    words: params.get("words") ?? "",
    table: params.get("view") === "table",
  };
}

/** For the address: nothing where all marks are shown. */
export function writeMarks(marks: Trust[]): string | null {
  return marks.length === 0 || marks.length === MARKS.length ? null : marks.join(",");
}

type Concepts = Shape<"ConceptMap">;

/** Rows of the concepts that are drawn, the most frequent first, so that names and points of large ones win. */
export function shownConcepts(map: Concepts, marks: Trust[], words: string): number[] {
  const wanted = words.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const rows: number[] = [];
  for (let i = 0; i < map.latent.length; i++) {
    const text = wanted.length > 0 ? (map.name[i] ?? "").toLocaleLowerCase() : "";
    if (marks.includes(map.trust[i] as Trust) && wanted.every((word) => text.includes(word))) rows.push(i);
  }
  return rows.sort((a, b) => (map.document_frequency[b] as number) - (map.document_frequency[a] as number));
}

export function conceptsIn(map: Concepts, rows: number[], box: Box | null): number[] {
  return box === null ? rows : rows.filter((i) => isIn(box, map.x[i] as number, map.y[i] as number));
}
