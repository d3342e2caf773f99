/** A box in front of the page; Escape closes it, and the focus goes back to where it was. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";

export function Dialog(props: {
  title: string;
  onClose: () => void;
  children: ComponentChildren;
  /** What stands beside "Close", and what that is called instead. */
  foot?: ComponentChildren;
  closing?: string;
  /** A sheet comes from below. */
  kind?: "sheet";
}) {
  const box = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const before = document.activeElement;
    box.current?.showModal();
    return () => {
      if (before instanceof HTMLElement) before.focus();
    };
  }, []);
  return (
    <dialog class={props.kind ? `dlg ${props.kind}` : "dlg"} ref={box} aria-label={props.title} onClose={props.onClose}>
      <h2 class="dlg-title">{props.title}</h2>
      {props.children}
      <p class="dlg-foot">
        <button type="button" class="btn" onClick={() => box.current?.close()}>
          {props.closing ?? "Close"}
        </button>
        {props.foot}
      </p>
    </dialog>
  );
}
