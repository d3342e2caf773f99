/** Where BM25's terms stand in a text: a term is the stem of its words, so a word that begins with it is meant. */
import type { Word } from "../../score/words";

const SHORTEST_STEM = 4;
const SHARE = 0.6;

export function wordsOfTerms(text: string, terms: readonly string[]): Word[] {
  const known = terms.map((term) => term.toLowerCase()).filter(Boolean);
  const found: Word[] = [];
  let points = 0;
  let units = 0;
  for (const { 0: word, index } of text.matchAll(/[\p{L}\p{N}]+/gu)) {
    points += [...text.slice(units, index)].length;
    const length = [...word].length;
    const lower = word.toLowerCase();
    const meant = known.some((term) => lower === term || (term.length >= SHORTEST_STEM && lower.startsWith(term)));
    if (meant) found.push({ start: points, end: points + length, share: SHARE, value: 0 });
    points += length;
    units = index + word.length;
  }
  return found;
}
