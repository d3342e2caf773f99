/** Of a long table that scrolls with the page, only what is near the screen is in the page. */
import {
  observeWindowOffset,
  observeWindowRect,
  type VirtualItem,
  Virtualizer,
  type VirtualizerOptions,
  windowScroll,
} from "@tanstack/virtual-core";
import type { RefObject } from "preact";
import { useLayoutEffect, useReducer, useState } from "preact/hooks";

export interface Rows {
  items: VirtualItem[];
  /** Height that the rows above and below take, in pixels. */
  before: number;
  after: number;
  /** `ref` of a row's element, which carries its number as `data-index`: rows may differ in height. */
  measure: (element: Element | null) => void;
}

/**
 * @param count of all rows.
 * @param height of a row that was not measured yet.
 * @param start the element in which the rows begin.
 * @param keyOf what a row is known by when others come before it.
 */
export function useRows(
  count: number,
  height: number,
  start: RefObject<HTMLElement | null>,
  keyOf: (index: number) => string | number,
): Rows {
  const [, render] = useReducer((n: number) => n + 1, 0);
  const [margin, setMargin] = useState(0);
  const options: VirtualizerOptions<Window, Element> = {
    count,
    estimateSize: () => height,
    getItemKey: keyOf,
    getScrollElement: () => window,
    observeElementRect: observeWindowRect,
    observeElementOffset: observeWindowOffset,
    scrollToFn: windowScroll,
    initialOffset: () => window.scrollY,
    initialRect: { width: innerWidth, height: innerHeight },
    scrollMargin: margin,
    overscan: 12,
    onChange: () => render(undefined),
  };
  const [virtual] = useState(() => new Virtualizer(options));
  virtual.setOptions(options);
  useLayoutEffect(() => virtual._didMount(), []);
  useLayoutEffect(() => {
    virtual._willUpdate();
    const at = start.current ? Math.round(start.current.getBoundingClientRect().top + window.scrollY) : 0;
    if (at !== margin) setMargin(at);
  });
  const items = virtual.getVirtualItems();
  const first = items[0];
  const last = items.at(-1);
  return {
    items,
    before: first ? first.start - margin : 0,
    after: last ? virtual.getTotalSize() - (last.end - margin) : 0,
    measure: virtual.measureElement,
  };
}
