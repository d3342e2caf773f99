/** The concepts that a passage activates, the strongest first; a click marks the words that carry one. */
import { useState } from "preact/hooks";
import { address } from "../../address";
import { counted, figure } from "../../parts/figures";
import { Mark, Returns } from "../../parts/mark";
import { called } from "../../parts/name";
import type { Slots } from "../../score/groups";
import { slotOf } from "../../score/slots";
import { Swatch } from "../../score/swatch";
import { type Activation, groupOf } from "./text";

const SHOWN = 20;

interface ConceptsProps {
  of: readonly Activation[];
  slots: Slots;
  marked: number | null;
  selected: number | null;
  onSelect: (latent: number | null) => void;
}

/** How strong it is, of the strongest in the corpus; the line is where the name begins to hold. */
function Strength({ of, slot }: { of: Activation; slot: number | null }) {
  const at = (value: number) => `${(100 * Math.min(1, value / (of.strongest || of.activation || 1))).toFixed(2)}%`;
  const group = groupOf(of);
  const fill = group !== "named" ? "f-trace" : slot === null ? "f-other" : `f${slot + 1}`;
  return (
    <svg class="passage-strength" aria-hidden="true">
      <rect width="100%" height="6" y="3" rx="2" class="all" />
      <rect width={at(of.activation)} height="6" y="3" rx="2" class={fill} />
      {of.holds_from !== null && group !== "unnamed" && (
        <line x1={at(of.holds_from)} x2={at(of.holds_from)} y1="0" y2="12" class="from" />
      )}
    </svg>
  );
}

function Row({ of, slots, marked, selected, onSelect }: Omit<ConceptsProps, "of"> & { of: Activation }) {
  const group = groupOf(of);
  const on = selected === of.latent;
  const slot = group === "named" ? slotOf(slots, of.latent) : null;
  const kind = slot !== null ? "slot" : group === "named" ? "other" : group;
  const title =
    group === "traces"
      ? `A trace: the name holds from ${figure(of.holds_from ?? 0)}`
      : `Activation ${figure(of.activation)}; the strongest in the corpus has ${figure(of.strongest)}`;
  return (
    <li class={`${marked === of.latent ? "on" : ""} ${group === "named" ? "" : "below"}`} data-latent={of.latent}>
      <Swatch kind={kind} slot={slot} />
      <button
        type="button"
        class="passage-pick"
        aria-pressed={on}
        title={title}
        onClick={() => onSelect(on ? null : of.latent)}
      >
        <bdi class={of.name === null || of.trust === "none" ? "nm-none" : "nm"}>{called(of)}</bdi>{" "}
        <Mark trust={of.trust} /> <Returns returns={of.returns} />
      </button>
      <span class="num">{figure(of.activation)}</span>
      <a class="small" href={address(`/concepts/${of.latent}`)} aria-label={`Open ${called(of)}`}>
        Open
      </a>
      <Strength of={of} slot={slot} />
    </li>
  );
}

export function Concepts(props: ConceptsProps) {
  const { of, selected, marked } = props;
  const [all, showAll] = useState(false);
  const last = of.findIndex((one) => one.latent === (selected ?? marked));
  const shown = all || last >= SHOWN ? of : of.slice(0, SHOWN);
  const named = of.filter((one) => groupOf(one) === "named").length;
  if (of.length === 0) return <p class="small mute">It activates no concept, or concepts have no names yet.</p>;
  return (
    <>
      <p class="small mute">
        {named === 0 ? "The names of none of them hold here." : `The names of ${named} of ${of.length} hold here.`} A
        click marks the words that carry a concept.
      </p>
      <ol class="passage-concepts">
        {shown.map((one) => (
          <Row key={one.latent} {...props} of={one} />
        ))}
      </ol>
      {shown.length < of.length && (
        <button class="btn quiet s" type="button" onClick={() => showAll(true)}>
          {counted(of.length - shown.length, "weaker one", "weaker ones")}
        </button>
      )}
    </>
  );
}
