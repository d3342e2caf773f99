/** Hits that change places slide there, where nobody asked for less motion. */
import type { RefObject } from "preact";
import { useLayoutEffect, useRef } from "preact/hooks";

const MS = 150;

/**
 * @param list whose children each have a name of their own, `data-passage`.
 * @param of what the list answers: only within the same does a change of places mean something.
 */
export function useSliding(list: RefObject<HTMLElement | null>, of: string): void {
  const stood = useRef<{ of: string; tops: Map<string, number> }>({ of, tops: new Map() });
  useLayoutEffect(() => {
    const items = [...(list.current?.children ?? [])] as HTMLElement[];
    const before = stood.current;
    // Within the list: what opens above it moves all of it at once. A slide under way does not count.
    const from = list.current?.offsetTop ?? 0;
    const tops = new Map(items.map((item) => [item.dataset.passage ?? "", item.offsetTop - from]));
    stood.current = { of, tops };
    if (before.of !== of || !moved(before.tops, tops) || matchMedia("(prefers-reduced-motion: reduce)").matches) return;
    for (const item of items) {
      const name = item.dataset.passage ?? "";
      const way = (before.tops.get(name) ?? Number.NaN) - (tops.get(name) ?? 0);
      if (way)
        item.animate([{ transform: `translateY(${way}px)` }, { transform: "none" }], {
          duration: MS,
          easing: "ease-out",
        });
    }
  });
}

/** Whether others are there, or in another order: a sum that opens moves hits too, and changes no rank. */
export function moved(before: ReadonlyMap<string, number>, now: ReadonlyMap<string, number>): boolean {
  const names = [...now.keys()];
  return before.size !== names.length || [...before.keys()].some((name, i) => name !== names[i]);
}
