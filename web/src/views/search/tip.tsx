/** What a part of a bar says when the pointer or the keyboard is on it: the product, its share, and the words. */
import type { Shape } from "../../api/client";
import { figure, share, signed } from "../../parts/figures";
import { ConceptName } from "../../parts/name";
import { type Contribution, isWord, net, type Piece } from "../../score/groups";
import { Swatch } from "../../score/swatch";

const MOST_LINES = 4;

interface TipProps {
  id: string;
  piece: Piece;
  /** Where the part begins, 0 to 1. */
  at: number;
  /** Of all parts of the score, what this one is. */
  part: number;
  digits: number;
  marked: Shape<"MarkedText"> | null;
  /** Title and text as the words are counted. */
  text: string;
}

export function Tip({ id, piece, at, part, digits, marked, text }: TipProps) {
  const only = piece.of.length === 1 ? piece.of[0] : undefined;
  return (
    <div class="tip" id={id} role="status" style={{ left: `min(${(100 * at).toFixed(2)}%, max(0px, 100% - 308px))` }}>
      <div class="tip-head">
        <Swatch kind={piece.kind} slot={piece.slot} />
        {only && !isWord(only) ? <ConceptName of={only} link={false} /> : <b>{piece.label}</b>}
      </div>
      <div class="eq">
        <span>
          {only && `${product(only)} = `}
          <b>{signed(net(piece), digits)}</b>
        </span>
        <span>{share(part)} of this score</span>
      </div>
      {piece.of.length > 1 ? (
        <Inside of={piece.of} digits={digits} />
      ) : (
        marked && only && <Words marked={marked} text={text} value={only.value} digits={digits} slot={piece.slot} />
      )}
    </div>
  );
}

function product({ query, passage, value }: Contribution): string {
  const factor = query * passage ? value / (query * passage) : 1;
  return `${figure(query)} × ${figure(passage)}${Math.abs(factor - 1) < 0.005 ? "" : ` × ${figure(factor, 2)}`}`;
}

/** The largest concepts of a group. */
function Inside({ of, digits }: { of: Contribution[]; digits: number }) {
  const rest = of.slice(MOST_LINES);
  return (
    <ol class="inside">
      {of.slice(0, MOST_LINES).map((c) => (
        <li key={c.latent}>
          <span class="n">
            <ConceptName of={c} link={false} />
          </span>
          <span class="num">{signed(c.value, digits)}</span>
        </li>
      ))}
      {rest.length > 0 && (
        <li>
          <span class="faint">{rest.length} more</span>
          <span class="num">
            {signed(
              rest.reduce((sum, c) => sum + c.value, 0),
              digits,
            )}
          </span>
        </li>
      )}
    </ol>
  );
}

interface WordsProps {
  marked: Shape<"MarkedText">;
  text: string;
  value: number;
  digits: number;
  slot: number | null;
}

/** The words of a concept, each with its part of what the concept adds. */
function Words({ marked, text, value, digits, slot }: WordsProps) {
  const points = [...text];
  const byWord = new Map<string, number>();
  for (const word of marked.words) {
    const said = points.slice(word.start, word.end).join("");
    byWord.set(said, (byWord.get(said) ?? 0) + word.value);
  }
  const all = marked.words.reduce((sum, word) => sum + word.value, marked.others);
  if (!all) return null;
  const lines = [...byWord].sort((a, b) => b[1] - a[1]).slice(0, MOST_LINES);
  const rest = all - lines.reduce((sum, [, part]) => sum + part, 0);
  const largest = Math.max(...lines.map(([, part]) => part), Math.abs(rest));
  const colour = slot === null ? "var(--p-other)" : `var(--c${slot + 1})`;
  const line = (said: string, part: number, fill: string, quiet = false) => (
    <li key={said}>
      <bdi class={quiet ? "faint" : ""}>{said}</bdi>
      <svg aria-hidden="true">
        <rect width={Math.max(0, (84 * Math.abs(part)) / largest)} height="6" rx="1" style={{ fill }} />
      </svg>
      <span class="num">{signed((value * part) / all, digits)}</span>
    </li>
  );
  return (
    <ol>
      {lines.map(([said, part]) => line(said, part, colour))}
      {line("all other words", rest, "var(--p-trace)", true)}
    </ol>
  );
}
