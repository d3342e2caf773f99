/** What is typed into a field goes into the address a moment later, or at once. */
import { useEffect, useRef, useState } from "preact/hooks";

export function useTyped(value: string, apply: (value: string) => void, ms: number) {
  const [typed, set] = useState(value);
  const waiting = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  const applying = useRef(apply);
  applying.current = apply;
  useEffect(() => {
    if (waiting.current === undefined) set(value); // the address changed by something else
  }, [value]);
  useEffect(() => () => clearTimeout(waiting.current), []);
  const now = (text: string) => {
    clearTimeout(waiting.current);
    waiting.current = undefined;
    applying.current(text);
  };
  const type = (text: string) => {
    set(text);
    clearTimeout(waiting.current);
    waiting.current = setTimeout(() => now(text), ms);
  };
  return { typed, type, now: () => now(typed) };
}
