/** A whole text with the words of a concept marked, in any colour; alone in an element with `dir="auto"`. */
import { stretches, strongest, type Word } from "../score/words";

export function Marked({ text, words, colour }: { text: string; words: readonly Word[]; colour: string }) {
  const points = [...text];
  const marked = strongest(words, 0, points.length);
  return (
    <>
      {stretches(points, marked, 0, points.length).map(({ text: part, share }, i) =>
        share === null ? (
          part
        ) : (
          <mark key={i} style={{ "--w": share.toFixed(2), "--k": colour }}>
            {part}
          </mark>
        ),
      )}
    </>
  );
}
