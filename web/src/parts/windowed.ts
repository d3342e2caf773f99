/** Only the rows in view of a long list are drawn; the page itself scrolls. */
import { observeWindowOffset, observeWindowRect, Virtualizer, windowScroll } from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useReducer, useState } from "preact/hooks";

interface Options {
  count: number;
  /** Height of a row that was not drawn yet. */
  estimate: number;
  /** What the rows stand in; it says where they begin on the page. */
  within: RefObject<HTMLElement | null>;
  /** Pixels at the top that something sticky covers. */
  covered?: number;
}

export type Windowed = Virtualizer<Window, HTMLElement>;

export function useWindowed({ count, estimate, within, covered = 0 }: Options): Windowed {
  const [, redraw] = useReducer((n: number) => n + 1, 0);
  const [margin, setMargin] = useState(0);
  const options = {
    count,
    estimateSize: () => estimate,
    getScrollElement: () => window,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    initialOffset: () => window.scrollY,
    initialRect: { width: window.innerWidth, height: window.innerHeight },
    overscan: 8,
    scrollMargin: margin,
    scrollPaddingStart: covered,
    onChange: () => redraw(0),
  };
  const [instance] = useState(() => new Virtualizer<Window, HTMLElement>(options));
  instance.setOptions(options);
  useLayoutEffect(() => instance._didMount(), []);
  useLayoutEffect(() => {
    instance._willUpdate();
    const box = within.current?.getBoundingClientRect();
    if (box) setMargin(Math.round(box.top + window.scrollY));
  });
  return instance;
}

/** Heights of what stands above and below the drawn rows in place of those that are not. */
export function around(list: Windowed): [above: number, below: number] {
  const items = list.getVirtualItems();
  const [first, last] = [items[0], items.at(-1)];
  if (!first || !last) return [0, list.getTotalSize()];
  const { scrollMargin } = list.options;
  return [first.start - scrollMargin, Math.max(0, list.getTotalSize() - (last.end - scrollMargin))];
}
