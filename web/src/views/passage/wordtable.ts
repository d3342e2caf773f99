/** The dense score as words against words: the strongest of each for themselves, all others folded, so that it adds up. */
import type { Shape } from "../../api/client";

export interface Line {
  /** A word of the text, or of the fold its own words. */
  label: string;
  /** How often the text has it; of a fold, how many words it holds. */
  n: number;
  fold: boolean;
}

export interface WordTable {
  columns: Line[];
  rows: Line[];
  /** (rows, columns) */
  cells: number[][];
  rowSums: number[];
  columnSums: number[];
  /** Sum of all cells: the score. */
  sum: number;
  /** The largest cell by absolute value, folds left out: cells are tinted by their part of it. */
  largest: number;
}

interface Found {
  label: string;
  at: number[];
}

/** Words that are written alike, upper and lower case, stand in one line; in the order of the text. */
function lines(words: readonly string[]): Found[] {
  const found = new Map<string, Found>();
  words.forEach((word, i) => {
    const known = found.get(word.toLowerCase());
    if (known) known.at.push(i);
    else found.set(word.toLowerCase(), { label: word, at: [i] });
  });
  return [...found.values()];
}

/** Punctuation, the encoder's own signs such as [CLS], and its rounding are no words. */
const isWord = (label: string) => /[\p{L}\p{N}]/u.test(label) && !/^(\[[A-Z]+\]|<\/?\w+>|\(rounding\))$/.test(label);

/**
 * The strongest lines and the places of all others. A line is as strong as its word is where it is strongest, so that a
 * frequent word does not stand high for its number alone.
 */
function strongest(all: Found[], strength: (at: number) => number, most: number): [kept: Found[], rest: number[]] {
  const weight = new Map(all.map((line) => [line, Math.max(...line.at.map(strength))]));
  const bySize = [...all].sort((a, b) => (weight.get(b) as number) - (weight.get(a) as number));
  const kept = Number.isFinite(most) ? bySize.filter((line) => isWord(line.label)).slice(0, most) : bySize;
  return [kept, bySize.filter((line) => !kept.includes(line)).flatMap((line) => line.at)];
}

/**
 * @param columns words of the query that stand for themselves, at most, in the query's order.
 * @param rows words of the passage that stand for themselves, at most, the strongest first.
 */
export function wordTable(of: Shape<"WordPairs">, columns: number, rows: number): WordTable {
  const { pairs } = of;
  const down = (t: number) => pairs.reduce((sum, row) => sum + Math.abs(row[t] ?? 0), 0);
  const across = (s: number) => (pairs[s] ?? []).reduce((sum, value) => sum + Math.abs(value), 0);
  const [asked, askedRest] = strongest(lines(of.query_words), across, columns);
  const [said, saidRest] = strongest(lines(of.words), down, rows);
  asked.sort((a, b) => (a.at[0] as number) - (b.at[0] as number));
  const ss = [...asked.map((line) => line.at), ...(askedRest.length > 0 ? [askedRest] : [])];
  const ts = [...said.map((line) => line.at), ...(saidRest.length > 0 ? [saidRest] : [])];
  const cells = ts.map((rowAt) =>
    ss.map((columnAt) => {
      let sum = 0;
      for (const s of columnAt) for (const t of rowAt) sum += pairs[s]?.[t] ?? 0;
      return sum;
    }),
  );
  const rowSums = cells.map((row) => row.reduce((sum, value) => sum + value, 0));
  return {
    columns: labelled(asked, askedRest.length),
    rows: labelled(said, saidRest.length),
    cells,
    rowSums,
    columnSums: ss.map((_, i) => cells.reduce((sum, row) => sum + (row[i] ?? 0), 0)),
    sum: rowSums.reduce((sum, value) => sum + value, 0),
    largest: Math.max(0, ...cells.slice(0, said.length).flatMap((row) => row.slice(0, asked.length).map(Math.abs))),
  };
}

function labelled(kept: Found[], rest: number): Line[] {
  const single = kept.map(({ label, at }) => ({ label, n: at.length, fold: false }));
  return rest > 0 ? [...single, { label: "others", n: rest, fold: true }] : single;
}
