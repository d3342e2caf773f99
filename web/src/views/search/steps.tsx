/** The table of a comparison: one row a step from the lower score to the higher, and a picture of each. */
import type { ComponentChildren } from "preact";
import { figure, signed } from "../../parts/figures";
import { ConceptName } from "../../parts/name";
import { calledSystem } from "../../parts/systems";
import type { Kind, Slots } from "../../score/groups";
import { decimals, scaleOf } from "../../score/scale";
import { fillOf, hasEdge, Swatch } from "../../score/swatch";
import type { Step, Waterfall } from "./waterfall";

/** The look of a step: that of its concept's group, the same as in the bars. */
export function lookOf(step: Step, slots: Slots): { kind: Kind; slot: number | null } {
  if (step.kind === "fold") return { kind: "traces", slot: null };
  if (step.kind !== "concept") return { kind: step.kind, slot: null };
  const one = step.concept;
  if (!one || one.group === null) return { kind: "word", slot: null };
  if (one.group === "traces" || one.group === "unnamed") return { kind: one.group, slot: null };
  const slot = slots.indexOf(one.latent);
  return slot < 0 ? { kind: "other", slot: null } : { kind: "slot", slot };
}

/** What a step is called in a sentence. */
export function saidOf(step: Step): string {
  if (step.kind === "system") return calledSystem(step.system ?? "");
  const one = step.concept;
  if (!one) return "";
  if (one.group === null) return `“${one.name ?? one.latent}”`;
  return one.name === null || one.trust === "none" ? `concept #${one.latent}` : one.name;
}

/** Figures after the point: as many as the scores of a result have, so that small scores do not look the same. */
export function digitsOf(of: Waterfall): number {
  return decimals(scaleOf([], [of.low, of.high]));
}

interface Place {
  at: (value: number) => number;
}

/** On the scale of scores; zero is on it, and a little room at the end for the tick. */
function placeOf(of: Waterfall): Place {
  const span = (of.most - of.least || 1) * 1.02;
  return { at: (value) => (100 * (value - of.least)) / span };
}

const percent = (value: number) => `${value.toFixed(3)}%`;

function Moved({ step, look, place }: { step: Step; look: { kind: Kind; slot: number | null }; place: Place }) {
  const [from, to] = [place.at(step.from), place.at(step.to)];
  const rect = { x: percent(Math.min(from, to)), width: percent(Math.abs(to - from)), y: 3, height: 14 };
  return (
    <svg class="bar why-bar" height="20" aria-hidden="true">
      <rect {...rect} class={fillOf(look.kind, look.slot)} />
      {hasEdge(look.kind) && <rect {...rect} class="edge" />}
      <line class="tick" x1={percent(to)} x2={percent(to)} y1="0" y2="20" />
    </svg>
  );
}

/** The row of a whole score, first and last. */
function End({ title, score, place, digits }: { title: string; score: number; place: Place; digits: number }) {
  const [zero, at] = [place.at(0), place.at(score)];
  return (
    <tr>
      <th scope="row">
        <bdi>{title}</bdi>
      </th>
      <td class="only-wide" />
      <td class="only-wide" />
      <td class="num">
        <b>{figure(score, digits)}</b>
      </td>
      <td class="only-wide why-picture">
        <svg class="bar why-bar" height="20" aria-hidden="true">
          <rect class="whole" x={percent(Math.min(zero, at))} width={percent(Math.abs(at - zero))} y="7" height="6" />
          <line class="tick whole" x1={percent(at)} x2={percent(at)} y1="0" y2="20" />
        </svg>
      </td>
    </tr>
  );
}

function Label({ step, sameBias, onOpen }: { step: Step; sameBias: boolean; onOpen: () => void }): ComponentChildren {
  const scaled = step.system !== null;
  switch (step.kind) {
    case "concept":
      if (!step.concept) return null;
      return step.concept.group === null ? <bdi>{saidOf(step)}</bdi> : <ConceptName of={step.concept} />;
    case "fold":
      return (
        <button class="btn quiet s why-fold" type="button" onClick={onOpen}>
          {step.folded} more
        </button>
      );
    case "system":
      return <>{saidOf(step)}, as a whole</>;
    case "bias":
      return scaled ? "Bias and scaling" : "Bias";
    case "residual":
      return sameBias && !scaled ? "Residual; the bias is the same for both" : "Residual";
  }
}

interface StepsProps {
  of: Waterfall;
  higher: string;
  lower: string;
  slots: Slots;
  onOpen: () => void;
}

export function Steps({ of, higher, lower, slots, onOpen }: StepsProps) {
  const place = placeOf(of);
  const digits = digitsOf(of);
  // Of bias and residual only the difference is known, not what each score has of it.
  const both = (step: Step) => step.kind !== "bias" && step.kind !== "residual";
  return (
    <table class="ledger">
      <caption class="vh">
        From the score of {lower} to that of {higher}, concept by concept
      </caption>
      <thead>
        <tr>
          <th scope="col">Concept</th>
          <th scope="col" class="num only-wide why-title">
            <bdi>{higher}</bdi>
          </th>
          <th scope="col" class="num only-wide why-title">
            <bdi>{lower}</bdi>
          </th>
          <th scope="col" class="num">
            Difference
          </th>
          <th scope="col" class="only-wide">
            From {figure(of.low, digits)} to {figure(of.high, digits)}; each step ends at its tick
          </th>
        </tr>
      </thead>
      <tbody>
        <End title={lower} score={of.low} place={place} digits={digits + 1} />
        {of.steps.map((step, i) => {
          const look = lookOf(step, slots);
          const begins = step.system !== null && step.system !== of.steps[i - 1]?.system;
          return (
            <>
              {begins && step.kind !== "system" && (
                <tr class="of-system" key={`${step.system}/`}>
                  <th scope="rowgroup" colSpan={5}>
                    {calledSystem(step.system ?? "")}
                  </th>
                </tr>
              )}
              <tr class={step.kind === "concept" ? "" : "fold"} key={step.key}>
                <td>
                  <span class="cname">
                    {step.kind === "fold" ? <span class="sw" /> : <Swatch kind={look.kind} slot={look.slot} />}
                    <Label step={step} sameBias={of.sameBias} onOpen={onOpen} />
                  </span>
                </td>
                <td class="num only-wide">{both(step) && figure(step.higher, digits + 1)}</td>
                <td class="num only-wide">{both(step) && figure(step.lower, digits + 1)}</td>
                <td class="num">{signed(step.difference, digits + 1)}</td>
                <td class="only-wide">
                  <Moved step={step} look={look} place={place} />
                </td>
              </tr>
            </>
          );
        })}
        <End title={higher} score={of.high} place={place} digits={digits + 1} />
      </tbody>
    </table>
  );
}
