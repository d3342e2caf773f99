/** The look of a group beside its name: its letter, in colour where its name holds, or a small piece of its pattern. */
import { type Kind, LETTERS } from "./groups";

const FILL: Record<Exclude<Kind, "slot">, string> = {
  word: "f-word",
  other: "f-other",
  unnamed: "f-unnamed",
  traces: "f-trace",
  system: "f-word",
  bias: "f-bias",
  residual: "f-residual",
};

export function fillOf(kind: Kind, slot: number | null): string {
  return kind === "slot" ? `f${(slot ?? 0) + 1}` : FILL[kind];
}

export function inkOf(kind: Kind, slot: number | null): string {
  return kind === "slot"
    ? `t${(slot ?? 0) + 1}`
    : kind === "other"
      ? "t-other"
      : kind === "unnamed"
        ? "t-word t-dots"
        : "t-word";
}

/** Patterns and pale fills have an edge. */
export const hasEdge = (kind: Kind) => kind !== "slot" && kind !== "other";

export function Pattern({ kind }: { kind: Kind }) {
  return (
    <svg viewBox="0 0 16 11" aria-hidden="true">
      <rect width="16" height="11" rx="2" class={fillOf(kind, null)} />
      {hasEdge(kind) && <rect x=".5" y=".5" width="15" height="10" rx="1.5" class="edge" />}
    </svg>
  );
}

export function Swatch({ kind, slot = null }: { kind: Kind; slot?: number | null }) {
  if (kind === "slot" && slot !== null) return <span class={`sw c${slot + 1}`}>{LETTERS[slot]}</span>;
  if (slot !== null) return <span class="sw none">{LETTERS[slot]}</span>;
  return (
    <span class="sw">
      <Pattern kind={kind} />
    </span>
  );
}
