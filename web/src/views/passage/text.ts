/** A passage as the encoder reads it, title and text with a blank between, and how far its concepts' names hold for it. */
import type { Shape } from "../../api/client";
import type { Slots } from "../../score/groups";
import type { Word } from "../../score/words";

export type Activation = Shape<"Activation">;

/** Title and text without the white space before them, which the encoder does not read. */
export function asRead(passage: { title: string; text: string }): { title: string; text: string } {
  const title = passage.title.trimStart();
  return title.trim() ? { title, text: passage.text } : { title: "", text: passage.text.trimStart() };
}

/** Marked words of the title and of the text, each counted from its own beginning. */
export function apart(title: string, words: readonly Word[]): { title: Word[]; text: Word[] } {
  if (!title) return { title: [], text: [...words] };
  const length = [...title].length;
  const skip = length + 1;
  return {
    title: words.filter((word) => word.end <= length),
    text: words
      .filter((word) => word.start >= skip)
      .map((word) => ({ ...word, start: word.start - skip, end: word.end - skip })),
  };
}

/** Characters that are shown at once: a page of a million is slow to lay out. */
const LONGEST_SHOWN = 50_000;

/** The beginning of a long text, up to a blank; null: it is not long. */
export function beginning(text: string): string | null {
  if (text.length <= LONGEST_SHOWN) return null;
  const cut = text.slice(0, LONGEST_SHOWN);
  return cut.replace(/[\uD800-\uDBFF]$/, "").replace(/\s\S{0,100}$/, "");
}

const LONGEST_QUERY = 2_000;

/** The passage as a query for others like it: so much as fits an address, which is more than encoders read. */
export function asQuery(passage: { title: string; text: string }): string {
  const whole = `${passage.title} ${passage.text}`.trim();
  const points = [...whole.slice(0, 2 * LONGEST_QUERY)].slice(0, LONGEST_QUERY);
  const cut = points.join("");
  return cut.length === whole.length ? whole : cut.replace(/\s+\S{0,40}$/, "");
}

/** The same groups as those of a score's parts. */
export function groupOf(of: Activation): "named" | "traces" | "unnamed" {
  const judged = of.trust === "confirmed" || of.trust === "holds" || of.trust === "vague";
  if (of.holds_from === null || !judged || of.name === null) return "unnamed";
  return of.activation >= of.holds_from ? "named" : "traces";
}

/** Whose words are marked: the selected concept's, else those of the strongest with a colour, else of the strongest named. */
export function toMark(concepts: readonly Activation[], selected: number | null, slots: Slots): number | null {
  if (selected !== null) return selected;
  const named = concepts.filter((of) => groupOf(of) === "named");
  return (named.find((of) => slots.includes(of.latent)) ?? named[0])?.latent ?? null;
}

/** The next concept of a list, or the one before; from none, the first. */
export function stepped(concepts: readonly Activation[], from: number | null, by: 1 | -1): number | null {
  const at = concepts.findIndex((of) => of.latent === from);
  const next = at < 0 ? 0 : Math.min(concepts.length - 1, Math.max(0, at + by));
  return concepts[next]?.latent ?? null;
}

/** A value of the metadata in words. */
export function said(value: unknown): string {
  if (Array.isArray(value)) return value.map(said).join(", ");
  if (value !== null && typeof value === "object") return JSON.stringify(value);
  return String(value ?? "");
}
