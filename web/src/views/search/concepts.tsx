/** The concepts of a result, each with its weight in the query: sliders, and the ban that leaves passages out. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { figure } from "../../parts/figures";
import { ConceptName, called, type NamedConcept } from "../../parts/name";
import type { Kind } from "../../score/groups";
import { Swatch } from "../../score/swatch";
import { LEAST_BOOST, MOST_BOOST, stopped } from "./state";
import type { Steer } from "./steering";

/** A slider moves often; a search begins when it rests so long, or is let go. */
const REST_MS = 60;

export interface ConceptLine {
  concept: NamedConcept;
  slot: number | null;
  /** In colour where its name holds. */
  kind: Kind;
  /** Sum over the hits that are shown. */
  adds: number;
  factor: number;
  banned: boolean;
}

interface ConceptsProps {
  lines: ConceptLine[];
  steer: Steer;
  selected: number | null;
  onSelect: (latent: number) => void;
  digits: number;
}

export function Concepts({ lines, steer, selected, onSelect, digits }: ConceptsProps) {
  return (
    <ul class="steer">
      {lines.map((line) => (
        <Line
          key={line.concept.latent}
          line={line}
          steer={steer}
          on={line.concept.latent === selected}
          onSelect={onSelect}
          digits={digits}
        />
      ))}
    </ul>
  );
}

interface LineProps extends Omit<ConceptsProps, "lines" | "selected"> {
  line: ConceptLine;
  on: boolean;
}

function Line({ line: { concept, slot, kind, adds, factor, banned }, steer, on, onSelect, digits }: LineProps) {
  const name = called(concept);
  return (
    <li class={on ? "on" : ""}>
      <button
        type="button"
        class="pick"
        aria-pressed={on}
        aria-label={`Select ${name}`}
        title="Select: its part of each bar stands out, and its words are marked"
        onClick={() => onSelect(concept.latent)}
      >
        <Swatch kind={kind} slot={slot} />
      </button>
      <span class="n" title={name}>
        <ConceptName of={concept} />
      </span>
      <span class="num" title="Sum over the hits shown">
        {figure(adds, Math.min(2, digits))}
      </span>
      <span class="ctl">
        <Slider latent={concept.latent} name={name} factor={factor} steer={steer} />
        <button
          class="btn quiet s"
          type="button"
          title="Leave out passages with this concept"
          aria-pressed={banned}
          aria-label={banned ? `Let passages with ${name} in again` : `Ban passages with ${name}`}
          disabled={steer.refused !== null}
          onClick={() => steer.ban(concept.latent)}
        >
          {banned ? "Banned" : "Ban"}
        </button>
      </span>
    </li>
  );
}

function Slider({ latent, name, factor, steer }: { latent: number; name: string; factor: number; steer: Steer }) {
  const [at, setAt] = useState(factor);
  const held = useRef(false);
  const timer = useRef<ReturnType<typeof setTimeout> | undefined>(undefined);
  // Before the next key: an effect that waits for the picture would put back what was pressed meanwhile.
  useLayoutEffect(() => {
    if (!held.current) setAt(factor);
  }, [factor]);
  useEffect(() => () => clearTimeout(timer.current), []);
  const move = (value: number) => {
    const to = held.current ? stopped(value) : value;
    setAt(to);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => steer.boost(latent, to, held.current), REST_MS);
  };
  const letGo = (value: number) => {
    const to = held.current ? stopped(value) : value;
    held.current = false;
    clearTimeout(timer.current);
    setAt(to);
    steer.boost(latent, to);
  };
  return (
    <>
      <input
        class={`slider${at === 1 ? "" : " moved"}`}
        type="range"
        min={LEAST_BOOST}
        max={MOST_BOOST}
        step="0.1"
        value={at}
        disabled={steer.refused !== null}
        aria-label={`Weight of ${name} in the query`}
        aria-valuetext={`times ${figure(at, 1)}`}
        onPointerDown={() => {
          held.current = true;
        }}
        onInput={(event) => move(Number(event.currentTarget.value))}
        onChange={(event) => letGo(Number(event.currentTarget.value))}
        onPointerUp={() => {
          held.current = false;
        }}
      />
      <span class={`x num${at === 1 ? "" : " moved"}`}>× {figure(at, 1)}</span>
    </>
  );
}
