/** An audit as `Audit.to_dict` writes it, in the order in which a reader wants it. */
import { counted, signed } from "../../parts/figures";

export interface Claim {
  kind: string;
  subject: { of: string; name: string; latent: number | null; passage_ids: string[] };
  sentence: string;
  effect: number;
  low: number;
  high: number;
  unit: string;
  smallest: number;
  corrected: number;
  n: number;
  examples: string[];
  counterfactual: { changed: string; value: string; before: number; after: number; n: number };
}

export interface Count {
  kind: string;
  tested: number;
  significant: number;
  large: number;
  confirmed: number;
}

export interface Label {
  key: string;
  value: string;
  n: number;
  latent: number;
  name: string;
  single: number;
  probe: number;
  loses: number;
  loses_by_another: number;
}

export interface Audit {
  date: string;
  about: {
    project: string;
    corpus: string;
    passages: number;
    queries: number;
    judged: number;
    encoder: string | null;
    dictionary: string;
    latents: number;
    system: string | null;
    run: { file: string; sha256: string } | null;
    agreement: number;
    measure: string;
    seed: number;
  };
  claims: Claim[];
  counts: Count[];
  labels: Label[];
  notes: string[];
}

/** Claims of each kind, in the audit's order, which has the largest effects of a kind first. */
export function byKind(claims: readonly Claim[]): [kind: string, claims: Claim[]][] {
  const kinds = new Map<string, Claim[]>();
  for (const claim of claims) kinds.set(claim.kind, [...(kinds.get(claim.kind) ?? []), claim]);
  return [...kinds];
}

/** Kinds whose examples are queries; those of all others are passages. */
const OF_QUERIES = new Set(["length", "failure", "success", "hub"]);

export function examplesAreQueries(kind: string): boolean {
  return OF_QUERIES.has(kind);
}

/** A p as people write it. */
export function small(p: number): string {
  return p < 0.0001 ? "< .0001" : `= ${p.toFixed(4).replace(/^0/, "")}`;
}

/** Effect, interval and corrected p, as the terminal shows them. */
export function effectOf(claim: Claim): string {
  const interval = `95 %: ${signed(claim.low, 2)} to ${signed(claim.high, 2)}`;
  return `${signed(claim.effect, 2)} ${claim.unit} (${interval}), corrected p ${small(claim.corrected)}, n = ${claim.n.toLocaleString("en")}`;
}

/** How far all tests got together. */
export function total(counts: readonly Count[]): Omit<Count, "kind"> {
  const sum = (of: (count: Count) => number) => counts.reduce((all, count) => all + of(count), 0);
  return {
    tested: sum((count) => count.tested),
    significant: sum((count) => count.significant),
    large: sum((count) => count.large),
    confirmed: sum((count) => count.confirmed),
  };
}

/** What a reader wants to know first. */
export function verdict(audit: Audit): string {
  const { tested, significant, large } = total(audit.counts);
  const of = counted(tested, "test");
  if (audit.claims.length > 0)
    return `Of ${of}, ${counted(audit.claims.length, "claim")} ${audit.claims.length === 1 ? "holds" : "hold"}.`;
  if (significant === 0) return `Of ${of}, none was significant: nothing is claimed.`;
  const larger = large === 0 ? "none of these large enough to matter" : `${large} of these large enough to matter`;
  const checked = large === 0 ? "" : ", and no counterfactual showed it again";
  return `Of ${of}, ${significant} ${significant === 1 ? "was" : "were"} significant, ${larger}${checked}: nothing is claimed.`;
}

/** Widths of the bars before and after, as shares of the larger. */
export function widths(before: number, after: number): [before: number, after: number] {
  const largest = Math.max(Math.abs(before), Math.abs(after)) || 1;
  return [Math.abs(before) / largest, Math.abs(after) / largest];
}

/** Where an effect, its interval and the smallest that matters stand on a line that has zero on it. */
export function interval(claim: Claim): { zero: number; low: number; high: number; effect: number; smallest: number } {
  const threshold = Math.sign(claim.effect || 1) * claim.smallest;
  const values = [0, claim.low, claim.high, claim.effect, threshold];
  const from = Math.min(...values);
  const span = Math.max(...values) - from || 1;
  const at = (value: number) => 0.03 + (0.94 * (value - from)) / span;
  return { zero: at(0), low: at(claim.low), high: at(claim.high), effect: at(claim.effect), smallest: at(threshold) };
}
