/**
 * A text with the words marked that carry a concept; the text stays text. It stands alone in an element with
 * `dir="auto"`, which keeps it apart from other text and runs as it does; a `bdi` between would hide how it runs.
 */
import type { Shape } from "../api/client";
import { snippet, stretches, strongest } from "./words";

interface MarkedProps {
  text: string;
  /** Of the concept that is shown; none marks nothing. */
  marked?: Shape<"MarkedText"> | null | undefined;
  /** Words are counted in title and text with a blank between; this is the title of the text that is shown. */
  title?: string;
  /** 0 to 5: the colour; null: of no slot. */
  slot?: number | null;
  /** Show only about so many characters, around the strongest words. */
  length?: number;
  /** The text goes on beyond what is here. */
  goesOn?: boolean;
}

export function Marked({ text, marked, title = "", slot = null, length, goesOn = false }: MarkedProps) {
  const points = [...text];
  const skip = title ? [...title].length + 1 : 0;
  const words = marked ? strongest(marked.words, skip, points.length) : [];
  const [from, to] = length === undefined ? [0, points.length] : snippet(points, words, length);
  const colour = slot === null ? "var(--p-edge)" : `var(--c${slot + 1})`;
  return (
    <>
      {from > 0 && "… "}
      {stretches(points, words, from, to).map(({ text: part, share }, i) =>
        share === null ? (
          part
        ) : (
          <mark key={`${i}`} style={{ "--w": share.toFixed(2), "--k": colour }}>
            {part}
          </mark>
        ),
      )}
      {(to < points.length || goesOn) && " …"}
    </>
  );
}
