/** On a narrow screen: the concepts as a row of chips, and the steering in a sheet from below. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { Dialog } from "../../parts/dialog";
import { called } from "../../parts/name";
import { Swatch } from "../../score/swatch";
import type { ConceptLine } from "./concepts";

interface ChipsProps {
  lines: ConceptLine[];
  selected: number | null;
  onSelect: (latent: number) => void;
  /** What the sheet shows. */
  children: ComponentChildren;
}

export function Chips({ lines, selected, onSelect, children }: ChipsProps) {
  const [open, setOpen] = useState(false);
  return (
    // biome-ignore lint/a11y/useSemanticElements: a row of buttons is no set of fields
    <div class="chips only-narrow" role="group" aria-label="Concepts of this result">
      <button class="chip" type="button" onClick={() => setOpen(true)}>
        Steer …
      </button>
      {lines.map(({ concept, slot, kind }) => (
        <button
          key={concept.latent}
          class="chip"
          type="button"
          aria-pressed={concept.latent === selected}
          onClick={() => onSelect(concept.latent)}
        >
          <Swatch kind={kind} slot={slot} />
          <bdi>{called(concept)}</bdi>
        </button>
      ))}
      {open && (
        <Dialog title="Steer this search" kind="sheet" onClose={() => setOpen(false)}>
          <div class="panel">{children}</div>
        </Dialog>
      )}
    </div>
  );
}
