/** Changes of steering that can be taken back, by query. Back takes one back as well; what it took is not here twice. */
import type { Steered } from "./state";

const before = new Map<string, Steered[]>();
const MOST = 100;

const same = (a: Steered, b: Steered) => a.boost === b.boost && a.ban === b.ban;

/** Remember what the steering was before a change. */
export function remember(query: string, was: Steered): void {
  const steps = before.get(query) ?? [];
  if (steps.length === 0 || !same(steps.at(-1) as Steered, was)) steps.push(was);
  before.set(query, steps.slice(-MOST));
}

/** What the steering was before the last change; null: no change is known. */
export function lastBefore(query: string, now: Steered): Steered | null {
  return (before.get(query) ?? []).findLast((step) => !same(step, now)) ?? null;
}

export function takeBack(query: string, now: Steered): Steered | null {
  const steps = before.get(query) ?? [];
  while (steps.length) {
    const step = steps.pop() as Steered;
    if (!same(step, now)) return step;
  }
  return null;
}
