/** How much of these scores a reader can rely on, as a number and as a bar, with what the number is made of. */
import type { ComponentChildren } from "preact";
import { share } from "../parts/figures";
import type { Carried } from "./carried";
import type { Kind, Slots } from "./groups";
import { fillOf, hasEdge } from "./swatch";

const ORDER: Kind[] = ["other", "unnamed", "traces", "system", "bias", "residual"];

/** The parts of the share bar, in the order of the bars of the hits. */
export function segments(of: Carried, slots: Slots): { key: string; kind: Kind; slot: number | null; part: number }[] {
  const one = (key: string, kind: Kind, slot: number | null = null) => ({ key, kind, slot, part: of.of.get(key) ?? 0 });
  return [
    one("word", "word"),
    ...slots.map((latent, slot) => one(`slot:${latent}`, "slot", slot)),
    ...ORDER.map((kind) => one(kind, kind)),
  ].filter(({ part }) => part > 0);
}

export function ShareBar({ of, slots }: { of: Carried; slots: Slots }) {
  let at = 0;
  return (
    <svg class="share" aria-hidden="true">
      {segments(of, slots).map(({ key, kind, slot, part }) => {
        const x = at;
        at += part;
        return (
          <svg key={key} x={`${(100 * x).toFixed(2)}%`} width={`${(100 * part).toFixed(2)}%`} height="10">
            <rect width="100%" height="10" class={`${fillOf(kind, slot)} seg-r`} />
            {hasEdge(kind) && <rect x=".5" y=".5" height="9" class="edge inner" />}
          </svg>
        );
      })}
    </svg>
  );
}

/** "59 % of these scores is carried by concepts whose names hold." */
export function Share({ of, slots, children }: { of: Carried; slots: Slots; children?: ComponentChildren }) {
  const words = (of.of.get("word") ?? 0) > 0;
  const concepts = [...of.n.keys()].some((kind) => kind !== "word" && kind !== "system");
  const rest = (["unnamed", "traces", "system", "bias", "residual"] as Kind[])
    .filter((kind) => (of.of.get(kind) ?? 0) > 0)
    .map((kind) => (kind === "system" ? "what only ranks say" : kind));
  if (!words && !concepts)
    return <p class="small mute">Ranks are added here, not scores: only their worth is a sum.</p>;
  const list = rest.length > 1 ? `${rest.slice(0, -1).join(", ")} and ${rest.at(-1)}` : rest[0];
  return (
    <>
      <p class="share-said">
        <span class="big">{share(of.named)}</span>
        <span
          class="mute"
          title="Sum of |value| over named parts, divided by that over all parts; the mean over the hits shown"
        >
          of these scores is carried
          <br />
          {words ? (concepts ? "by words, and by names that hold." : "by words.") : "by concepts whose names hold."}
        </span>
      </p>
      <ShareBar of={of} slots={slots} />
      {list && <p class="small mute">The rest is {list}.</p>}
      {children}
    </>
  );
}
