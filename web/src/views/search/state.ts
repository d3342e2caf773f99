/** What the address of a search says, and how it changes: the query, the system, the steering, what is selected. */
import { decoded, type Opened, openedOf } from "./opened";

export interface SearchState {
  q: string;
  system: string;
  /** Factor of each concept's weight in the query; 1 is left out. */
  boosts: ReadonlyMap<number, number>;
  bans: readonly number[];
  /** KEY=VALUE of metadata. */
  where: readonly string[];
  selected: number | null;
  k: number;
  compare: [first: string, second: string] | null;
  sideBySide: boolean;
  /** Sums of hits, and folds in them. */
  opened: Opened;
}

export const PAGE = 10;
export const MOST_HITS = 100;
export const LEAST_BOOST = -1;
export const MOST_BOOST = 3;
const MOST_STEERED = 64;

const whole = (text: string | null) => (text !== null && /^\d{1,9}$/.test(text) ? Number(text) : null);

export function stateOf(params: URLSearchParams, fallback: string): SearchState {
  const compare = params.get("compare")?.split(",").map(decoded) ?? [];
  return {
    q: params.get("q")?.trim() ?? "",
    system: params.get("system") || fallback,
    boosts: boostsOf(params.get("boost") ?? ""),
    bans: [...new Set((params.get("ban") ?? "").split(",").flatMap((id) => whole(id) ?? []))].slice(0, MOST_STEERED),
    where: params.getAll("where").filter((one) => /^[^=]+=/.test(one)),
    selected: whole(params.get("sel")),
    k: Math.min(MOST_HITS, Math.max(1, whole(params.get("k")) ?? PAGE)),
    compare: compare[0] && compare[1] ? [compare[0], compare[1]] : null,
    sideBySide: params.get("view") === "systems",
    opened: openedOf(params),
  };
}

function boostsOf(text: string): Map<number, number> {
  const pairs = text.split(",").flatMap((one): [number, number][] => {
    const found = /^(\d{1,9}):(-?\d{1,7}(?:\.\d{1,6})?)$/.exec(one);
    return found && Number(found[2]) !== 1 ? [[Number(found[1]), Number(found[2])]] : [];
  });
  return new Map(pairs.slice(0, MOST_STEERED));
}

/** Steering as the address has it. */
export interface Steered {
  boost: string | null;
  ban: string | null;
}

export function steeredAs(boosts: ReadonlyMap<number, number>, bans: readonly number[]): Steered {
  return {
    boost: [...boosts].map(([latent, factor]) => `${latent}:${factor}`).join(",") || null,
    ban: bans.join(",") || null,
  };
}

/** A search as the API takes it. A system that takes no steering is searched without it; the address keeps it. */
export function asksOf({ q, system, boosts, bans, where }: SearchState, steers: boolean) {
  return {
    ...{ q, system, where: [...where] },
    boost: steers ? [...boosts].map(([latent, factor]) => `${latent}:${factor}`) : [],
    ban: steers ? [...bans] : [],
  };
}

/** A search as an address has it, for the way to a passage and back. */
export function searched({ q, system, boosts, bans, where, selected }: SearchState) {
  return { q, system, ...steeredAs(boosts, bans), where, sel: selected };
}

/** Another factor for one concept; 1 takes the boost away. */
export function boosted(state: SearchState, latent: number, factor: number): Steered {
  const boosts = new Map(state.boosts);
  const rounded = Math.round(10 * Math.min(MOST_BOOST, Math.max(LEAST_BOOST, factor))) / 10;
  if (rounded === 1) boosts.delete(latent);
  else boosts.set(latent, rounded);
  return steeredAs(boosts, state.bans);
}

/** Leave out passages with this concept, or let them in again. */
export function banned(state: SearchState, latent: number): Steered {
  const bans = state.bans.includes(latent) ? state.bans.filter((one) => one !== latent) : [...state.bans, latent];
  return steeredAs(state.boosts, bans);
}

export function isSteered(state: SearchState): boolean {
  return state.boosts.size > 0 || state.bans.length > 0;
}

/** Of one slider: near a whole number the thumb stops at it. */
export function stopped(value: number): number {
  return [0, 1, 2].find((stop) => Math.abs(value - stop) < 0.15) ?? value;
}

/** The two hits of a comparison, as the address has them: an id may hold a comma. */
export function pairOf(first: string, second: string): string {
  return `${encodeURIComponent(first)},${encodeURIComponent(second)}`;
}
