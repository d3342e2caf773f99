/** What is written into a part of a bar: its name if it fits, else its letter or number, else nothing. */
import type { Piece } from "./groups";
import { LETTERS } from "./groups";
import type { Drawn } from "./layout";
import { place, type Scale } from "./scale";

const PER_LETTER = 5.9;
const SAMPLE = "eruptions, volcano and more named concepts";
const BESIDE = 10;
const LETTER_FROM = 13;

export interface Label {
  text: string;
  /** A name begins at the left; a letter stands in the middle of what is seen of the part, as a percentage of it. */
  middle: number | null;
}

let measured: number | undefined;

/** Pixels of a letter: as designed, or more where the system's font is wider. */
function perLetter(): number {
  if (typeof document === "undefined") return PER_LETTER;
  if (measured === undefined) {
    const canvas = document.createElement("canvas").getContext("2d");
    if (canvas) canvas.font = `500 11px ${getComputedStyle(document.body).fontFamily}`;
    measured = Math.max(PER_LETTER, (canvas?.measureText(SAMPLE).width ?? 0) / SAMPLE.length);
  }
  return measured;
}

/**
 * @param tick where the score stands: a label is not to be crossed by it.
 * @param width of the bar in pixels.
 */
export function labelsOf(
  drawn: Drawn,
  tick: number,
  scale: Scale,
  width: number,
): { name: Label | null; letter: Label | null } {
  const { piece, from, to } = drawn;
  const x = (value: number) => place(scale, value) * width;
  const whole = x(to) - x(from);
  const seen = drawn.lane === "adds" && tick > from && tick < to ? x(tick) - x(from) : whole;
  const middle = whole > 0 ? (50 * seen) / whole : 50;
  const short = shortOf(piece);
  const letter = short !== null && seen >= LETTER_FROM ? { text: short, middle } : null;
  const long = drawn.lane === "adds" ? longOf(piece) : null;
  const fits = long !== null && perLetter() * [...long].length + BESIDE <= seen;
  return { name: fits ? { text: long, middle: null } : letter, letter: piece.slot === null ? null : letter };
}

function shortOf(piece: Piece): string | null {
  if (piece.slot !== null) return LETTERS[piece.slot] ?? null;
  return piece.kind === "other" ? String(piece.of.length) : null;
}

function longOf(piece: Piece): string | null {
  if (piece.kind === "other") return `${piece.of.length} more named`;
  return piece.slot !== null || piece.kind === "word" || piece.kind === "system" ? piece.label : null;
}
