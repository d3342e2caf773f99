/** Keys of a result: hits, their sums, the concepts by letter, and the weight of the selected one. */
import { changed, go } from "../../address";
import { useKeys } from "../../keys";
import { LETTERS, type Slots } from "../../score/groups";
import type { SearchState } from "./state";
import type { Steer } from "./steering";

interface Keyed {
  state: SearchState;
  steer: Steer;
  slots: Slots;
  select: (latent: number | null) => void;
  pick: (passage: string) => void;
  picked: string | null;
  unpick: () => void;
}

function toHit(step: 1 | -1): void {
  const hits = [...document.querySelectorAll<HTMLElement>(".hits > .hit")];
  const from = hits.findIndex((hit) => hit.contains(document.activeElement));
  const to = hits[from < 0 ? 0 : Math.min(hits.length - 1, Math.max(0, from + step))];
  to?.focus();
  to?.scrollIntoView({ block: "nearest" });
}

const focused = () => document.activeElement?.closest<HTMLElement>(".hit")?.dataset.passage;

/** Hits answer to Enter and the arrows themselves; here they stand for the list of keys. */
const bySelf = (shown: string, does: string) => ({ on: `${shown} of a hit`, shown, does, run: () => {} });

export function useSearchKeys({ state, steer, slots, select, pick, picked, unpick }: Keyed): void {
  const { selected } = state;
  const weigh = (to: (factor: number) => number) => {
    if (selected !== null) steer.boost(selected, to(state.boosts.get(selected) ?? 1));
  };
  useKeys([
    { on: "j", shown: "j", does: "Next hit", run: () => toHit(1) },
    { on: "k", shown: "k", does: "Hit before", run: () => toHit(-1) },
    bySelf("Enter", "Show the sum of a hit"),
    bySelf("← →", "Next part of the bar; its words and numbers are read out"),
    ...[...LETTERS].map((letter, slot) => ({
      on: `Shift+${letter}`,
      shown: "Shift A … F",
      does: "Select the concept of that letter",
      run: () => slots[slot] !== null && slots[slot] !== undefined && select(slots[slot] as number),
    })),
    { on: "+", shown: "+", does: "Boost the selected concept by 0.1", run: () => weigh((factor) => factor + 0.1) },
    { on: "-", shown: "−", does: "Weaken the selected concept by 0.1", run: () => weigh((factor) => factor - 0.1) },
    { on: "0", shown: "0", does: "Leave it out of the query", run: () => weigh(() => 0) },
    { on: "b", shown: "b", does: "Ban passages that have it", run: () => selected !== null && steer.ban(selected) },
    {
      on: "x",
      shown: "x",
      does: "Pick a hit to compare; the second opens the comparison",
      run: () => {
        const passage = focused();
        if (passage) pick(passage);
      },
    },
    { on: "Ctrl+z", shown: "Ctrl Z", does: "Undo the last change of steering", run: () => steer.undo() },
    {
      on: "Escape",
      shown: "Esc",
      does: "Clear the selection, close what is open",
      run: () => {
        if (picked !== null) unpick();
        else if (state.compare) go(changed({ compare: null, steps: null }));
        else if (selected !== null) select(selected);
      },
    },
  ]);
}
