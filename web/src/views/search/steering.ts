/** Changing the steering: in the address, each change to be undone, a slider's whole way as one change. */
import { useRef } from "preact/hooks";
import { changed, go } from "../../address";
import { banned, boosted, type SearchState, type Steered, stateOf, steeredAs } from "./state";
import { lastBefore, remember, takeBack } from "./undo";

export interface Steer {
  /** Null: it can be steered; else why it cannot. */
  refused: string | null;
  boost: (latent: number, factor: number, sliding?: boolean) => void;
  ban: (latent: number) => void;
  reset: () => void;
  undo: () => void;
  canUndo: boolean;
}

/** As the address has it now: a slider may be ahead of what was rendered. */
const live = (fallback: string): SearchState => stateOf(new URL(location.href).searchParams, fallback);

export function useSteer(state: SearchState, refused: string | null): Steer {
  const sliding = useRef(false);
  const now = steeredAs(state.boosts, state.bans);
  const change = (to: (state: SearchState) => Steered, moving = false) => {
    const from = live(state.system);
    // One entry of the history for the whole way of a slider: Back takes all of it back.
    if (!sliding.current) remember(from.q, steeredAs(from.boosts, from.bans));
    go(changed({ ...to(from) }), sliding.current ? "replace" : "push");
    sliding.current = moving;
  };
  return {
    refused,
    boost: (latent, factor, moving) => refused === null && change((from) => boosted(from, latent, factor), moving),
    ban: (latent) => refused === null && change((from) => banned(from, latent)),
    reset: () => change(() => ({ boost: null, ban: null })),
    undo: () => {
      const from = live(state.system);
      const step = takeBack(from.q, steeredAs(from.boosts, from.bans));
      if (step) go(changed({ ...step }), "replace");
    },
    canUndo: lastBefore(state.q, now) !== null,
  };
}
