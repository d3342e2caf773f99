/**
 * A score as the groups that are drawn: concepts A to F, other named ones, unnamed ones, traces, words, bias, residual.
 * What adds and what takes away are summed apart, so that nothing cancels unseen and no part is lost.
 */
import type { Shape } from "../api/client";
import { figure, signed } from "../parts/figures";
import { called } from "../parts/name";
import { calledSystem } from "../parts/systems";

export type Explanation = Shape<"Explanation">;
export type Contribution = Shape<"Contribution">;

export type Kind = "word" | "slot" | "other" | "unnamed" | "traces" | "system" | "bias" | "residual";

/**
 * Which concept has which letter: six places, A to F; null is a free one.
 *
 * The letter comes with a colour where the concept's name holds. Where few names hold, letters that are left over go to
 * unnamed concepts: their part of the bar stands for itself, and they can be steered, but it keeps the dots of what has
 * no name that holds.
 */
export type Slots = readonly (number | null)[];

export const LETTERS = "ABCDEF";

/** One group of one account, as it is drawn. */
export interface Piece {
  /** The same for the same group in every hit. */
  key: string;
  kind: Kind;
  /** 0 to 5 for A to F. */
  slot: number | null;
  /** Of a slot's concept. */
  latent: number | null;
  /** What it is called where there is room for words. */
  label: string;
  /** Its contributions, the largest first; none of bias and residual. */
  of: Contribution[];
  /** The sum of what adds, 0 or more. */
  adds: number;
  /** The sum of what takes away, 0 or more. */
  takes: number;
}

/** The pieces of one system; of one score that is no sum of systems there is one account without a name. */
export interface Account {
  system: string | null;
  value: number;
  /** Where the system has the passage; null: not among its hits. */
  rank: number | null;
  pieces: Piece[];
}

const MOST_WORDS = 12;
/** A part of a sum by rank explains its system's own score, which is not what the part adds. */
const SAME = 1e-4;

export function accountsOf(explanation: Explanation, slots: Slots, query = ""): Account[] {
  if (explanation.of !== "sum")
    return [{ system: null, value: explanation.score, rank: null, pieces: piecesOf(explanation, slots, query, "") }];
  return explanation.parts.map((part) => ({
    system: part.system,
    value: part.value,
    rank: part.rank,
    pieces: partPieces(part, slots, query),
  }));
}

/** A score that nobody explains is one part. */
export function undivided(label: string, score: number): Account[] {
  const pieces = [piece({ key: "system", kind: "system", label }, [score])].filter(isThere);
  return [{ system: null, value: score, rank: null, pieces }];
}

function partPieces(part: Shape<"SystemPart">, slots: Slots, query: string): Piece[] {
  const own = part.explanation;
  if (own && own.of !== "sum" && Math.abs(own.score - part.value) <= SAME * (Math.abs(part.value) + SAME))
    return piecesOf(own, slots, query, `${part.system}/`);
  const label = `${calledSystem(part.system)}${part.rank === null ? "" : `, rank ${part.rank}`}`;
  return [piece({ key: `${part.system}/system`, kind: "system", label }, [part.value])].filter(isThere);
}

function piecesOf(explanation: Explanation, slots: Slots, query: string, prefix: string): Piece[] {
  const { contributions } = explanation;
  const of = (kind: Kind, label: string, which: (c: Contribution) => boolean) =>
    whole({ key: prefix + kind, kind, label }, contributions.filter(which));
  const lettered = (kind: "slot" | "unnamed", group: Contribution["group"]) =>
    slots.flatMap((latent, slot) => {
      const mine = contributions.filter((c) => c.latent === latent && c.group === group);
      const key = `${prefix}${kind}:${latent}`;
      return mine[0] ? [whole({ key, kind, slot, latent, label: called(mine[0]) }, mine)] : [];
    });
  return [
    ...wordPieces(contributions.filter(isWord), query, prefix),
    ...lettered("slot", "named"),
    of("other", "Other named", (c) => c.group === "named" && !slots.includes(c.latent)),
    ...lettered("unnamed", "unnamed"),
    of("unnamed", "Unnamed", (c) => isUnnamed(c) && !slots.includes(c.latent)),
    of("traces", "Traces", (c) => c.group === "traces"),
    piece({ key: `${prefix}bias`, kind: "bias", label: prefix ? "Bias and scaling" : "Bias" }, [explanation.bias]),
    piece({ key: `${prefix}residual`, kind: "residual", label: "Residual" }, [explanation.residual]),
  ].filter(isThere);
}

/** A contribution without a group is a word's, as of BM25. */
export function isWord(c: Contribution): boolean {
  return c.group === null;
}

function isUnnamed(c: Contribution): boolean {
  return !isWord(c) && c.group !== "named" && c.group !== "traces";
}

/** Words in the order of the query, the largest each for itself, so that a row reads as the query does. */
function wordPieces(words: Contribution[], query: string, prefix: string): Piece[] {
  const kept = words.slice(0, MOST_WORDS);
  const rest = words.slice(MOST_WORDS);
  const asked = query.toLowerCase();
  const place = (c: Contribution) => {
    const found = asked.indexOf((c.name ?? "").toLowerCase());
    return found < 0 ? asked.length : found;
  };
  return [
    ...[...kept]
      .sort((a, b) => place(a) - place(b) || a.latent - b.latent)
      .map((c) => whole({ key: `${prefix}word:${c.latent}`, kind: "word", label: `“${c.name ?? c.latent}”` }, [c])),
    whole({ key: `${prefix}words`, kind: "word", label: `${rest.length} more words` }, rest),
  ];
}

type Look = Pick<Piece, "key" | "kind" | "label"> & Partial<Pick<Piece, "slot" | "latent">>;

function whole(look: Look, of: Contribution[]): Piece {
  const values = of.map((c) => c.value);
  return { ...piece(look, values), of: [...of].sort((a, b) => Math.abs(b.value) - Math.abs(a.value)) };
}

function piece(look: Look, values: number[]): Piece {
  const sum = (sign: 1 | -1) => values.reduce((all, v) => all + Math.max(0, sign * v), 0);
  return { slot: null, latent: null, ...look, of: [], adds: sum(1), takes: sum(-1) };
}

const isThere = (p: Piece) => p.adds > 0 || p.takes > 0;

export const net = (p: Piece) => p.adds - p.takes;

/** Whether a reader can rely on what it says: words, and concepts whose names hold here. */
export const isNamed = (p: Piece) => p.kind === "slot" || p.kind === "other" || p.kind === "word";

/** Every contribution of a score, those of the systems of a sum included. */
export function contributionsOf(explanation: Explanation): Contribution[] {
  const inside = explanation.parts.flatMap((part) => (part.explanation ? contributionsOf(part.explanation) : []));
  return [...explanation.contributions, ...inside];
}

/** The sum in a sentence, for who does not see the bar. */
export function sentence(score: number, accounts: Account[], digits = 3): string {
  const said = accounts.map(({ system, pieces }) => {
    const list = pieces.map((p) => `${p.label} ${signed(net(p), digits)}`).join("; ");
    return system === null ? list : `by ${calledSystem(system)}: ${list || "nothing"}`;
  });
  return `Score ${figure(score, digits)} is the sum of: ${said.join("; ")}.`;
}

/** The look of one contribution that stands for itself. */
export function slotKind(c: Contribution, slots: Slots): { kind: Kind; slot: number | null } {
  if (isWord(c)) return { kind: "word", slot: null };
  const slot = slots.indexOf(c.latent);
  const kind = c.group === "named" ? (slot < 0 ? "other" : "slot") : "unnamed";
  return { kind, slot: slot < 0 ? null : slot };
}
