/** Data for a view: asked for when its key changes; what was there stays, dimmed, until the new is there. */
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Refused } from "./client";

export interface Loaded<T> {
  data: T | undefined;
  error: Refused | undefined;
  /** Asked for again: `data`, if any, is of the former key. */
  loading: boolean;
  /** 150 ms have gone by since it was asked for; before that nothing is shown. */
  slow: boolean;
  reload: () => void;
  /** Put what an edit answered in place of what was loaded. */
  put: (data: T) => void;
}

/**
 * @param key what is asked for, in words; `null` asks for nothing. Another key asks anew.
 * @param ask asks, and stops when the signal says so.
 */
export function useLoaded<T>(key: string | null, ask: (signal: AbortSignal) => Promise<T>): Loaded<T> {
  const [state, set] = useState<{ data?: T; error?: Refused; loading: boolean; slow: boolean }>({
    loading: key !== null,
    slow: false,
  });
  const [again, setAgain] = useState(0);
  const asking = useRef(ask);
  asking.current = ask;
  useEffect(() => {
    if (key === null) {
      set({ loading: false, slow: false });
      return;
    }
    const stop = new AbortController();
    set((old) => ({ ...old, loading: true, slow: false }));
    const timer = setTimeout(() => set((old) => (old.loading ? { ...old, slow: true } : old)), 150);
    asking
      .current(stop.signal)
      .then((data) => set({ data, loading: false, slow: false }))
      .catch((error: Refused) => {
        if (!stop.signal.aborted) set((old) => ({ ...old, error, loading: false, slow: false }));
      })
      .finally(() => clearTimeout(timer));
    return () => {
      clearTimeout(timer);
      stop.abort();
    };
  }, [key, again]);
  const reload = useCallback(() => setAgain((n) => n + 1), []);
  const put = useCallback((data: T) => set({ data, loading: false, slow: false }), []);
  return { data: state.data, error: state.error, loading: state.loading, slow: state.slow, reload, put };
}
