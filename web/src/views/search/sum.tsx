/** A sum of systems made by hand: what each weighs, and whether scores or ranks are added. */
import { useState } from "preact/hooks";
import { Dialog } from "../../parts/dialog";
import { calledSystem } from "../../parts/systems";
import { nameOf, sumOf } from "./sums";

interface SumProps {
  systems: string[];
  from: string;
  onChoose: (system: string) => void;
  onClose: () => void;
}

export function SumDialog({ systems, from, onChoose, onClose }: SumProps) {
  const begin = sumOf(from);
  const [weights, setWeights] = useState(begin?.weights ?? new Map([[from, 1]]));
  const [byRank, setByRank] = useState(begin?.byRank ?? false);
  const set = (system: string, weight: number) => {
    const next = new Map(weights);
    if (weight > 0) next.set(system, Math.min(1000, weight));
    else next.delete(system);
    setWeights(next);
  };
  const ready = weights.size >= 2;
  return (
    <Dialog title="Build a sum of systems" onClose={onClose}>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (ready) onChoose(nameOf({ weights: new Map(systems.flatMap((s) => pair(s, weights))), byRank }));
        }}
      >
        <p class="mute">Each system gets a weight; those without one stay out.</p>
        <ul class="sum-form">
          {systems.map((system) => (
            <li key={system}>
              <label>
                <span>{calledSystem(system)}</span>
                <input
                  class="field s"
                  type="number"
                  min="0"
                  max="1000"
                  step="any"
                  value={weights.get(system) ?? 0}
                  onInput={(event) => set(system, Number(event.currentTarget.value))}
                />
              </label>
            </li>
          ))}
        </ul>
        <label class="check">
          <input type="checkbox" checked={byRank} onChange={(event) => setByRank(event.currentTarget.checked)} /> Add
          what ranks are worth, not scores
        </label>
        <p class="acts-row">
          {!ready && <span class="mute">A sum takes at least two systems.</span>}
          <button class="btn primary" type="submit" disabled={!ready}>
            Search with it
          </button>
        </p>
      </form>
    </Dialog>
  );
}

function pair(system: string, weights: ReadonlyMap<string, number>): [string, number][] {
  const weight = weights.get(system);
  return weight ? [[system, weight]] : [];
}
