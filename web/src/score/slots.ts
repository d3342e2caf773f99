/** Which six concepts of a result have a colour and a letter, and that they keep it. */
import { type Contribution, contributionsOf, type Explanation, type Slots } from "./groups";

export const NO_SLOTS: Slots = [null, null, null, null, null, null];

/**
 * An unnamed concept gets a letter before a named one only if it carries more than this many times as much: a name that
 * holds says something at once, yet six names that carry next to nothing would leave the bulk of a score without a handle.
 */
const A_NAME_COUNTS = 3;

/** Concepts by what they carry of these scores, traces left out; what a named one carries counts threefold. */
export function carriers(explanations: Explanation[]): Contribution[] {
  const sums = new Map<number, { first: Contribution; sum: number }>();
  for (const c of explanations.flatMap(contributionsOf)) {
    if (c.latent < 0 || !(c.group === "named" || c.group === "unnamed")) continue; // below 0: words, concepts of tokens
    const known = sums.get(c.latent) ?? { first: c, sum: 0 };
    known.sum += Math.abs(c.value) * (c.group === "named" ? A_NAME_COUNTS : 1);
    sums.set(c.latent, known);
  }
  return [...sums.values()].sort((a, b) => b.sum - a.sum || a.first.latent - b.first.latent).map(({ first }) => first);
}

/** Slots that are taken stay; free ones go to those that carry most. */
export function filled(slots: Slots, explanations: Explanation[]): Slots {
  const waiting = carriers(explanations)
    .map((c) => c.latent)
    .filter((latent) => !slots.includes(latent));
  return slots.map((latent) => latent ?? waiting.shift() ?? null);
}

/**
 * A concept picked by hand takes a free slot, or the one that carries least.
 *
 * @param fixed concepts that keep theirs, as those that are steered do.
 */
export function picked(slots: Slots, latent: number, explanations: Explanation[], fixed: number[] = []): Slots {
  if (slots.includes(latent)) return slots;
  const sums = slots.map((old) => (old === null ? -1 : fixed.includes(old) ? Infinity : carries(old, explanations)));
  if (sums.every((sum) => sum === Infinity)) return slots;
  // The last of equal ones, so that A stays longest.
  const least = sums.lastIndexOf(Math.min(...sums));
  return slots.map((old, slot) => (slot === least ? latent : old));
}

/** Sum of what a concept's parts carry, without traces. */
function carries(latent: number, explanations: Explanation[]): number {
  const mine = explanations.flatMap(contributionsOf).filter((c) => c.latent === latent && c.group !== "traces");
  return mine.reduce((sum, c) => sum + Math.abs(c.value), 0);
}

/** Slots by query, kept while the page is open: through steering, paging and other systems. */
const kept = new Map<string, Slots>();
const MOST_KEPT = 200;

export function keptSlots(key: string, explanations: Explanation[]): Slots {
  const slots = filled(kept.get(key) ?? NO_SLOTS, explanations);
  keep(key, slots);
  return slots;
}

export function keep(key: string, slots: Slots): void {
  kept.delete(key);
  kept.set(key, slots);
  const oldest = kept.keys().next();
  if (kept.size > MOST_KEPT && !oldest.done) kept.delete(oldest.value);
}

export function slotOf(slots: Slots, latent: number | null): number | null {
  const slot = latent === null ? -1 : slots.indexOf(latent);
  return slot < 0 ? null : slot;
}
