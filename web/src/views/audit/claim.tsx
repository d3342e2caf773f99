/** One claim of an audit: the sentence, how sure it is, and the counterfactual that showed it again. */
import { address } from "../../address";
import { count, figure } from "../../parts/figures";
import { type Claim, effectOf, examplesAreQueries, interval, widths } from "./audit";

const percent = (share: number) => `${(100 * share).toFixed(2)}%`;

/** Effect with its interval; a line at 0, a dotted one at the smallest effect that would have been claimed. */
function Interval({ of }: { of: Claim }) {
  const at = interval(of);
  return (
    <svg class="audit-interval" aria-hidden="true">
      <line class="ax" x1={percent(at.zero)} x2={percent(at.zero)} y1="0" y2="18" />
      <line class="least" x1={percent(at.smallest)} x2={percent(at.smallest)} y1="0" y2="18" />
      <line class="range" x1={percent(at.low)} x2={percent(at.high)} y1="9" y2="9" />
      <circle cx={percent(at.effect)} cy="9" r="4" />
    </svg>
  );
}

function BeforeAfter({ of }: { of: Claim["counterfactual"] }) {
  const [before, after] = widths(of.before, of.after);
  const row = (said: string, value: number, width: number, fill: string) => (
    <tr>
      <th scope="row">{said}</th>
      <td class="audit-line">
        <svg aria-hidden="true">
          <rect width={percent(width)} height="10" rx="2" class={fill} />
        </svg>
      </td>
      <td class="num">{figure(value)}</td>
    </tr>
  );
  return (
    <table class="ledger audit-ba">
      <caption class="vh">{of.value} before and after</caption>
      <tbody>
        {row("Before", of.before, before, "f-other")}
        {row("After", of.after, after, "f1")}
      </tbody>
    </table>
  );
}

function Examples({ of }: { of: Claim }) {
  if (of.examples.length === 0) return null;
  const queries = examplesAreQueries(of.kind);
  const to = (id: string) => (queries ? address("/evaluation", { query: id }) : address("/passage", { id }));
  return (
    <p class="small mute">
      {queries ? "Queries that show it: " : "Passages that show it: "}
      {of.examples.map((id, i) => (
        <>
          {i > 0 && ", "}
          <a href={to(id)}>
            <bdi>{id}</bdi>
          </a>
        </>
      ))}
    </p>
  );
}

/** What a claim is about, where that has a page of its own. */
function Subject({ of }: { of: Claim["subject"] }) {
  if (of.latent !== null)
    return (
      <p class="small">
        <a href={address(`/concepts/${of.latent}`)}>
          Concept <bdi>{of.name || `#${of.latent}`}</bdi>
        </a>
      </p>
    );
  if (of.passage_ids.length === 0) return null;
  const shown = of.passage_ids.slice(0, 5);
  return (
    <p class="small mute">
      {of.passage_ids.length === 1 ? "Passage: " : "Passages: "}
      {shown.map((id, i) => (
        <>
          {i > 0 && ", "}
          <a href={address("/passage", { id })}>
            <bdi>{id}</bdi>
          </a>
        </>
      ))}
      {of.passage_ids.length > shown.length && ` and ${count(of.passage_ids.length - shown.length)} more`}
    </p>
  );
}

export function ClaimCard({ of }: { of: Claim }) {
  const found = of.counterfactual;
  return (
    <li class="card audit-claim">
      <div>
        <p class="audit-said">
          <bdi>{of.sentence}</bdi>
        </p>
        <Subject of={of.subject} />
        <Examples of={of} />
      </div>
      <div>
        <h4>Effect</h4>
        <Interval of={of} />
        <p class="small mute">
          {effectOf(of)}. The plain line is 0; the dotted one is the smallest effect that is claimed,{" "}
          {figure(of.smallest, 2)}.
        </p>
        <h4>Checked by a counterfactual</h4>
        <p class="small mute">
          <bdi>{found.changed}</bdi>: {found.value} of {count(found.n)}
        </p>
        <BeforeAfter of={found} />
      </div>
    </li>
  );
}
