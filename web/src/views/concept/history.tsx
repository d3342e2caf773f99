/** What people changed of a concept, the last change first; each can be undone. */
import { said, when } from "../../parts/edits";
import type { Card, Editing } from "./view";

export function History({ card: { edits }, editing }: { card: Card; editing: Editing }) {
  const last = edits.find((edit) => !edit.undone);
  return (
    <section class="block" aria-labelledby="history">
      <header>
        <h2 id="history">History</h2>
        {last && !editing.readOnly && (
          <button class="btn quiet s r" type="button" onClick={() => editing.undo(last.number)}>
            Undo the last <span class="kbd">Ctrl Z</span>
          </button>
        )}
      </header>
      {edits.length === 0 && <p class="mute">Nobody has changed this concept.</p>}
      <ul class="hist-list">
        {edits.map((edit) => (
          <li key={edit.number}>
            <time class="faint" dateTime={edit.made}>
              {when(edit.made)}
            </time>
            {edit.undone ? (
              <span class="faint">
                <s>
                  <Said parts={said(edit)} />
                </s>{" "}
                Undone.
              </span>
            ) : (
              <span>
                <Said parts={said(edit)} />
              </span>
            )}
            {edit.undone || editing.readOnly ? (
              <span />
            ) : (
              <button class="btn quiet s" type="button" onClick={() => editing.undo(edit.number)}>
                Undo<span class="vh"> change {edit.number}</span>
              </button>
            )}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Said({ parts }: { parts: string[] }) {
  return (
    <>
      {parts.map((part, i) =>
        i % 2 === 0 ? (
          part
        ) : (
          <b key={i}>
            <bdi>{part}</bdi>
          </b>
        ),
      )}
      {/[.!?]$/.test(parts.at(-1) ?? "") ? "" : "."}
    </>
  );
}
