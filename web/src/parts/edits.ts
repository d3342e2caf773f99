/** What a person changes of concepts: made, and taken back, by the server; and said in words. */
import { api, asked, type Shape } from "../api/client";

export type Edit = Shape<"EditShape">;
export type Change = Partial<Shape<"MakeEdit">> & { action: Shape<"MakeEdit">["action"]; latents: number[] };

/** Make a change to all of some concepts, or to none; what changes nothing is not among the edits. */
export async function change(what: Change): Promise<Edit[]> {
  const { edits } = await asked(api.POST("/api/edits", { body: { description: "", ...what } }));
  return edits;
}

/** Take edits back, the last first. */
export async function undo(numbers: number[]): Promise<void> {
  for (const number of numbers.toSorted((one, other) => other - one))
    await asked(api.POST("/api/edits/undo", { body: { number } }));
}

/** A sentence in parts: every second one is a name, a remark or a number, as a person wrote it. */
export function said(edit: Edit): string[] {
  const { before, after } = edit;
  switch (edit.action) {
    case "rename":
      return before === null ? ["Named ", after ?? ""] : ["Renamed from ", before, " to ", after ?? ""];
    case "lock":
      return ["Name confirmed: ", after ?? ""];
    case "unlock":
      return ["A person’s name taken away: ", before ?? ""];
    case "flag":
      if (after === null) return ["Remark taken away: ", before ?? ""];
      return before === null ? ["Flagged ", after] : ["Flagged ", after, " in place of ", before];
    case "merge":
      return ["Merged into ", after ?? ""];
    default:
      return [edit.action];
  }
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** When, in the reader's own time: "28 Nov, 09:14"; with the year if it is another than now. */
export function when(iso: string, now = new Date()): string {
  const at = new Date(iso);
  const two = (n: number) => String(n).padStart(2, "0");
  const year = at.getFullYear() === now.getFullYear() ? "" : ` ${at.getFullYear()}`;
  return `${at.getDate()} ${MONTHS[at.getMonth()]}${year}, ${two(at.getHours())}:${two(at.getMinutes())}`;
}
