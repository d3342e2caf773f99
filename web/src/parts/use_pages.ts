/** A long table, asked for page by page as its rows come into view. What was there stays until the new is there. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Refused } from "../api/client";
import { Pages } from "./pages";

export interface Answer<Row> {
  rows: Row[];
  total: number;
}

export interface Paged<Row> {
  /** Of the former key while `loading`; undefined before the first page. */
  pages: Pages<Row> | undefined;
  error: Refused | undefined;
  loading: boolean;
  slow: boolean;
  /** Rows from first to last are in view. */
  need: (first: number, last: number) => void;
  reload: () => void;
}

/**
 * @param key what is asked for, in words; null asks for nothing.
 * @param ask asks for some rows.
 */
export function usePages<Row>(
  key: string | null,
  ask: (offset: number, limit: number, signal: AbortSignal) => Promise<Answer<Row>>,
  size = 200,
): Paged<Row> {
  const [state, set] = useState<{ pages?: Pages<Row>; error?: Refused; loading: boolean; slow: boolean }>({
    loading: key !== null,
    slow: false,
  });
  const [again, setAgain] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  const now = useRef<{ pages: Pages<Row>; stop: AbortController } | null>(null);
  const view = useRef({ key, first: 0, last: 0 });

  const fetchPage = useCallback(async (page: number) => {
    const of = now.current;
    if (of === null) return;
    of.pages.begin(page);
    try {
      const found = await asking.current(page * size, size, of.stop.signal);
      of.pages.put(page, found.rows, found.total);
      if (now.current === of) set({ pages: of.pages, loading: false, slow: false });
    } catch (error) {
      of.pages.fail(page);
      if (now.current === of && !of.stop.signal.aborted)
        set((old) => ({ ...old, error: error as Refused, loading: false, slow: false }));
    }
  }, []);

  useEffect(() => {
    if (key === null) {
      set({ loading: false, slow: false });
      return;
    }
    const of = { pages: new Pages<Row>(size), stop: new AbortController() };
    now.current = of;
    set((old) => ({ ...old, loading: true, slow: false }));
    const timer = setTimeout(() => set((old) => (old.loading ? { ...old, slow: true } : old)), 150);
    if (view.current.key !== key) view.current = { key, first: 0, last: 0 };
    const wanted = of.pages.missing(view.current.first, view.current.last);
    for (const page of wanted) fetchPage(page);
    return () => {
      clearTimeout(timer);
      of.stop.abort();
      if (now.current === of) now.current = null;
    };
  }, [key, again]);

  const need = useCallback((first: number, last: number) => {
    const of = now.current;
    view.current = { ...view.current, first, last };
    if (of === null || of.pages.total === undefined) return;
    for (const page of of.pages.missing(first, last)) fetchPage(page);
  }, []);
  const reload = useCallback(() => setAgain((n) => n + 1), []);
  return { pages: state.pages, error: state.error, loading: state.loading, slow: state.slow, need, reload };
}
