/** Keys of the pages. A view says which it has while it is shown; `?` lists all of them. */
import { useLayoutEffect, useRef } from "preact/hooks";
import { Dialog } from "./parts/dialog";

export interface Key {
  /** As `event.key` has it; "Shift+A", "Ctrl+z" with what is held. */
  on: string;
  /** As the list shows it; keys that belong together share one line. */
  shown: string;
  does: string;
  run: (event: KeyboardEvent) => void;
  /** Also while a text is being written. */
  inFields?: boolean;
}

let known: Key[] = [];

/** The keys of a view, as soon as it is shown. */
export function useKeys(keys: Key[]): void {
  const latest = useRef(keys);
  latest.current = keys;
  useLayoutEffect(() => {
    const mine = keys.map((_, i): Key => {
      const key = () => latest.current[i] as Key;
      return { ...key(), run: (event) => key()?.run(event) };
    });
    known = [...known, ...mine];
    return () => {
      known = known.filter((key) => !mine.includes(key));
    };
  }, [keys.map((key) => key.on).join(" ")]);
}

function spelled(event: KeyboardEvent): string {
  const held = event.ctrlKey || event.metaKey ? "Ctrl+" : "";
  return held + (event.shiftKey && /^[A-Z]$/.test(event.key) ? "Shift+" : "") + event.key;
}

function writes(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && (target.matches("textarea, select, [contenteditable]") || writesText(target));
}

function writesText(target: HTMLElement): boolean {
  return target instanceof HTMLInputElement && !["range", "checkbox", "radio", "button"].includes(target.type);
}

export function listen(event: KeyboardEvent): void {
  if (event.defaultPrevented || event.altKey || document.querySelector("dialog[open]")) return;
  const pressed = spelled(event);
  for (const key of [...known].reverse()) {
    if (key.on !== pressed || (!key.inFields && writes(event.target))) continue;
    event.preventDefault();
    key.run(event);
    return;
  }
}

/** All keys that do something now. */
export function KeysDialog({ onClose }: { onClose: () => void }) {
  const lines = new Map(known.map((key) => [`${key.shown}\n${key.does}`, key]));
  return (
    <Dialog title="Keys" onClose={onClose}>
      <table class="ledger">
        <tbody>
          {[...lines.values()].map((key) => (
            <tr key={key.shown + key.does}>
              <td style={{ width: "110px" }}>
                <span class="kbd">{key.shown}</span>
              </td>
              <td>{key.does}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Dialog>
  );
}
