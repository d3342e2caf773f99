/** From the lower of two scores to the higher: steps that add up to their difference, one a concept, the largest first. */
import type { Shape } from "../../api/client";

export type Difference = Shape<"Difference">;
export type Differing = Shape<"Differing">;

/** Rows of single concepts before the fold. */
export const SHOWN = 9;

export type StepKind = "concept" | "fold" | "bias" | "residual" | "system";

export interface Step {
  key: string;
  kind: StepKind;
  /** Of a sum, whose part this is of; else null. */
  system: string | null;
  concept: Differing | null;
  /** How many concepts a fold holds. */
  folded: number;
  /** What it adds to the higher score, and to the lower. */
  higher: number;
  lower: number;
  difference: number;
  /** Where the step begins and ends, on the scale of scores. */
  from: number;
  to: number;
}

export interface Waterfall {
  /** Whether the first passage is the higher one. */
  firstIsHigher: boolean;
  low: number;
  high: number;
  steps: Step[];
  /** The bias adds the same to both, and is not a row. */
  sameBias: boolean;
  /** The smallest and largest value that any step reaches, 0 included. */
  least: number;
  most: number;
}

type Loose = Omit<Step, "from" | "to">;

/** A part of a sum by rank explains its system's own score, which is not what the part adds. */
const SAME = 1e-4;
/** Of the scores: what is smaller is rounding, and no row. */
const NOTHING = 1e-9;

/** @param shown how many concepts have rows of their own; of a sum, of all its systems together. */
export function waterfall(of: Difference, shown = SHOWN): Waterfall {
  const firstIsHigher = of.difference >= 0;
  const rows = rowsOf(of, firstIsHigher, shown);
  const [low, high] = firstIsHigher ? [of.second, of.first] : [of.first, of.second];
  let at = low;
  const steps = rows.map((row) => {
    const from = at;
    at += row.difference;
    return { ...row, from, to: at };
  });
  const reached = [0, low, high, ...steps.map((step) => step.to)];
  return {
    firstIsHigher,
    low,
    high,
    steps,
    sameBias: !rows.some((row) => row.kind === "bias"),
    least: Math.min(...reached),
    most: Math.max(...reached),
  };
}

function rowsOf(of: Difference, firstIsHigher: boolean, shown: number): Loose[] {
  const parts = of.parts ?? [];
  if (parts.length === 0) return accountRows(of, firstIsHigher, null, new Set(largest(of.concepts, shown)));
  const opened = parts.map((part) => (part.account && addsUp(part) ? part.account : null));
  const kept = new Set(
    largest(
      opened.flatMap((account) => account?.concepts ?? []),
      shown,
    ),
  );
  return parts.flatMap((part, i) => {
    const account = opened[i];
    if (account) return accountRows(account, firstIsHigher, part.system, kept);
    return [row("system", part.system, firstIsHigher, part.first, part.second)];
  });
}

function addsUp(part: Shape<"PartDiffering">): boolean {
  const { account, first, second } = part;
  const off = account ? Math.abs(account.first - first) + Math.abs(account.second - second) : 1;
  return off <= SAME * (Math.abs(first) + Math.abs(second) + SAME);
}

function largest(concepts: readonly Differing[], shown: number): Differing[] {
  return [...concepts].sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference)).slice(0, shown);
}

/** One system's rows: concepts, a fold of the others, the bias if it differs, the residual. */
function accountRows(of: Difference, firstIsHigher: boolean, system: string | null, kept: Set<Differing>): Loose[] {
  const alone = largest(of.concepts, of.concepts.length).filter((one) => kept.has(one));
  const others = of.concepts.filter((one) => !kept.has(one));
  const sum = (which: "first" | "second") => others.reduce((all, one) => all + one[which], 0);
  const rows: Loose[] = alone.map((one) => ({
    ...row("concept", system, firstIsHigher, one.first, one.second),
    concept: one,
  }));
  if (others.length > 0)
    rows.push({ ...row("fold", system, firstIsHigher, sum("first"), sum("second")), folded: others.length });
  const said = Math.abs(of.first) + Math.abs(of.second);
  // Of bias and residual only the differences are known, so they stand on the side that they speak for.
  for (const kind of ["bias", "residual"] as const)
    if (Math.abs(of[kind]) > NOTHING * said) rows.push(rest(kind, system, firstIsHigher, of[kind]));
  return rows.map((one) => ({ ...one, key: keyOf(one) }));
}

function keyOf(of: Loose): string {
  return `${of.system ?? ""}/${of.kind}/${of.concept?.latent ?? ""}`;
}

function row(kind: StepKind, system: string | null, firstIsHigher: boolean, first: number, second: number): Loose {
  const [higher, lower] = firstIsHigher ? [first, second] : [second, first];
  const of: Loose = { key: "", kind, system, concept: null, folded: 0, higher, lower, difference: higher - lower };
  return { ...of, key: keyOf(of) };
}

function rest(kind: "bias" | "residual", system: string | null, firstIsHigher: boolean, difference: number): Loose {
  return row(kind, system, firstIsHigher, difference, 0);
}

/** What speaks for the higher score, and what for the lower: of each the largest, those below a third of it left out. */
export function speaking(steps: readonly Step[], most = 3): { gives: Step[]; takes: Step[] } {
  const single = steps.filter((step) => step.kind === "concept" || step.kind === "system");
  const side = (sign: 1 | -1) => {
    const mine = single.filter((step) => sign * step.difference > 0);
    mine.sort((a, b) => sign * (b.difference - a.difference));
    const largest = Math.abs(mine[0]?.difference ?? 0);
    return mine.filter((step) => Math.abs(step.difference) > largest / 3).slice(0, most);
  };
  return { gives: side(1), takes: side(-1) };
}

/**
 * The factor that swaps two scores, written with two decimals: rounded away from 1, so that they surely change places.
 */
export function beyond(factor: number): number {
  const hundredths = factor * 100;
  return (factor > 1 ? Math.ceil(hundredths + 1e-9) : Math.floor(hundredths - 1e-9)) / 100;
}
