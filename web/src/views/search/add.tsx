/** A concept that is not among those of the result, found by words of its name. */
import { useEffect, useRef, useState } from "preact/hooks";
import { api, asked } from "../../api/client";
import { useLoaded } from "../../api/use";
import { counted } from "../../parts/figures";
import type { Trust } from "../../parts/mark";
import { ConceptName } from "../../parts/name";
import { learn } from "./known";

const MOST = 8;
/** A name that was judged not to hold is shown nowhere, so nobody looks for it. */
const SAYING: Trust[] = ["confirmed", "holds", "vague", "unscored"];
/** The same function each time, so that the focus is taken once and not at each render. */
const toFocus = (field: HTMLInputElement | null) => field?.focus();

export function AddConcept({ onAdd }: { onAdd: (latent: number) => void }) {
  const [open, setOpen] = useState(false);
  const [words, setWords] = useState("");
  const [asking, setAsking] = useState("");
  const closed = useRef(false);
  const close = () => {
    closed.current = true;
    setOpen(false);
    setWords("");
  };
  useEffect(() => {
    const timer = setTimeout(() => setAsking(words.trim()), 150);
    return () => clearTimeout(timer);
  }, [words]);
  const found = useLoaded(asking || null, (signal) =>
    asked(api.GET("/api/concepts", { params: { query: { words: asking, trust: SAYING, limit: MOST } }, signal })),
  );
  const rows = found.data?.rows ?? [];
  if (!open)
    return (
      <p class="add">
        <button
          class="btn s"
          type="button"
          ref={(button) => {
            if (closed.current) button?.focus(); // it stood in the field, which is gone
            closed.current = false;
          }}
          onClick={() => setOpen(true)}
        >
          Add a concept …
        </button>
      </p>
    );
  return (
    <div class="add">
      <label>
        <span class="vh">Words of the concept's name</span>
        <input
          class="field s"
          type="text"
          placeholder="Words of its name"
          value={words}
          ref={toFocus}
          onInput={(event) => setWords(event.currentTarget.value)}
          onKeyDown={(event) => event.key === "Escape" && close()}
        />
      </label>
      {found.error && !found.loading && <p class="small mute">{found.error.message}</p>}
      {found.data && rows.length === 0 && <p class="small mute">No name holds these words.</p>}
      <ul class="rel pick">
        {rows.map((row) => (
          <li key={row.latent}>
            <span class="n">
              <ConceptName of={row} link={false} />
            </span>
            <span class="faint small">{counted(row.document_frequency, "passage")}</span>
            <button
              class="btn quiet s"
              type="button"
              onClick={() => {
                learn(row);
                onAdd(row.latent);
                close();
              }}
            >
              Add
            </button>
          </li>
        ))}
      </ul>
    </div>
  );
}
