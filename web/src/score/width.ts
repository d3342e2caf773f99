/** The width of the bars of a list, by one observer for all of them: only their labels need it. */
import { useCallback, useRef, useState } from "preact/hooks";

/** Put the ref on an element that is as wide as the bars, such as the axis. */
export function useWidth<T extends Element>(): [ref: (element: T | null) => void, width: number] {
  const [width, set] = useState(0);
  const observer = useRef<ResizeObserver | null>(null);
  const ref = useCallback((element: T | null) => {
    observer.current?.disconnect();
    if (!element) return;
    observer.current = new ResizeObserver(([entry]) => set(Math.round(entry?.contentRect.width ?? 0)));
    observer.current.observe(element);
  }, []);
  return [ref, width];
}
