/** Forms in place of, or below, a concept's name: another name, a remark. */
import { useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Card, Editing } from "./view";

interface Props {
  card: Card;
  editing: Editing;
  onDone: () => void;
}

/** Before the next key is pressed, so that nothing typed is lost. */
function useFocus<T extends HTMLInputElement>() {
  const field = useRef<T>(null);
  useLayoutEffect(() => field.current?.select(), []);
  return field;
}

export function RenameForm({ card, editing, onDone }: Props) {
  const { row, names } = card;
  const [name, setName] = useState(row.name ?? "");
  const [description, describe] = useState(names.find((one) => one.in_use)?.description ?? "");
  const field = useFocus();
  const save = async (event: SubmitEvent) => {
    event.preventDefault();
    if (await editing.change({ action: "rename", latents: [row.latent], name, description })) onDone();
  };
  return (
    <form class="naming" onSubmit={save}>
      <label>
        <span class="vh">Name</span>
        <input
          class="field name"
          dir="auto"
          ref={field}
          value={name}
          required
          maxLength={60}
          onInput={(event) => setName(event.currentTarget.value)}
        />
      </label>
      <button class="btn primary" type="submit">
        Save
      </button>
      <button class="btn" type="button" onClick={onDone}>
        Cancel <span class="kbd">Esc</span>
      </button>
      <label class="whole">
        <span class="small mute">Description: a sentence more, or nothing</span>
        <input
          class="field s"
          dir="auto"
          value={description}
          maxLength={500}
          onInput={(event) => describe(event.currentTarget.value)}
        />
      </label>
      <p class="small mute whole">
        A person’s name is marked Confirmed, and no namer replaces it. You can undo this at any time.
      </p>
    </form>
  );
}

export function FlagForm({ card, editing, onDone }: Props) {
  const { row } = card;
  const [remark, set] = useState(row.flag ?? "");
  const field = useFocus();
  const leave = async (what: string | null) => {
    if (await editing.change({ action: "flag", latents: [row.latent], remark: what })) onDone();
  };
  return (
    <form
      class="naming"
      onSubmit={(event) => {
        event.preventDefault();
        leave(remark);
      }}
    >
      <label>
        <span class="vh">Remark</span>
        <input
          class="field"
          dir="auto"
          ref={field}
          value={remark}
          required
          maxLength={60}
          list="remarks"
          placeholder="A remark, such as generic"
          onInput={(event) => set(event.currentTarget.value)}
        />
      </label>
      <datalist id="remarks">
        <option value="generic" />
        <option value="boilerplate" />
        <option value="hub" />
      </datalist>
      <button class="btn primary" type="submit">
        Flag
      </button>
      {row.flag !== null && (
        <button class="btn" type="button" onClick={() => leave(null)}>
          Take it away
        </button>
      )}
      <button class="btn" type="button" onClick={onDone}>
        Cancel <span class="kbd">Esc</span>
      </button>
    </form>
  );
}
