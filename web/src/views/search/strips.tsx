/** Above the hits: what is steered and what it did, and which concept is selected. */
import { address } from "../../address";
import type { Shape } from "../../api/client";
import { figure } from "../../parts/figures";
import { called, type NamedConcept } from "../../parts/name";
import type { Kind } from "../../score/groups";
import { Swatch } from "../../score/swatch";
import { useNames } from "./known";
import { movesOf } from "./moves";
import type { SearchState } from "./state";
import type { Steer } from "./steering";

/** What a concept looks like, and what it is called. */
export interface Known {
  concept: NamedConcept;
  kind: Kind;
  slot: number | null;
}

interface StripProps {
  state: SearchState;
  known: (latent: number) => Known;
}

interface SteeredProps extends StripProps {
  steer: Steer;
  /** What the steering did; null: nothing was found. */
  result: Shape<"SearchResult"> | null;
}

export function SteeredStrip({ state, known, steer, result }: SteeredProps) {
  const said = steer.refused ?? (result ? movesOf(result) : "No hit is left.");
  const bent = (latent: number, how: string) => {
    const { concept, kind, slot } = known(latent);
    return (
      <span class="bent" key={`${latent} ${how}`}>
        <Swatch kind={kind} slot={slot} />
        <bdi>{called(concept)}</bdi> <b>{how}</b>
      </span>
    );
  };
  return (
    <div class="strip">
      {[...state.boosts].map(([latent, factor]) =>
        bent(latent, `× ${figure(factor, Number.isInteger(factor) ? 0 : 1)}`),
      )}
      {state.bans.map((latent) => bent(latent, "banned"))}
      <span class="mute" role="status">
        {said}
      </span>
      <span class="acts">
        {steer.canUndo && (
          <button class="btn s" type="button" onClick={steer.undo}>
            Undo <span class="kbd">Ctrl Z</span>
          </button>
        )}
        <button class="btn quiet s" type="button" onClick={steer.reset}>
          Reset all
        </button>
      </span>
    </div>
  );
}

/** Where steering left no hit: the way back. */
export function SteeredAlone({ state, steer }: { state: SearchState; steer: Steer }) {
  const nameOf = useNames([...state.boosts.keys(), ...state.bans], []);
  const known = (latent: number): Known => ({ concept: nameOf(latent), kind: "other", slot: null });
  return <SteeredStrip {...{ state, steer, known }} result={null} />;
}

export function SelectedStrip({ of, onClear }: { of: Known; onClear: () => void }) {
  return (
    <div class="strip">
      <Swatch kind={of.kind} slot={of.slot} />
      <span>
        <b>
          <bdi>{called(of.concept)}</bdi>
        </b>{" "}
        is selected: its part of each bar stands out, and its words are marked in the texts.
      </span>
      <span class="acts">
        <a class="btn s" href={address(`/concepts/${of.concept.latent}`)}>
          Open the concept
        </a>
        <button class="btn quiet s" type="button" onClick={onClear}>
          Clear <span class="kbd">Esc</span>
        </button>
      </span>
    </div>
  );
}
