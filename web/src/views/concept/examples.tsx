/** Texts that show a concept, band by band, and texts that are close in meaning and yet silent. */
import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import { address } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { figure } from "../../parts/figures";
import { useProject } from "../../project";
import { Marked } from "../../score/marked";
import type { Card } from "./view";

type Example = Card["examples"][number];
type Words = Shape<"MarkedText">;

const BANDS: [band: string, title: string][] = [
  ["top", "Strong"],
  ["middle", "Middle"],
  ["low", "Weak"],
  ["near-miss", "Near misses"],
];
const MOST = 340; // characters of a text that are shown

export function Examples({ card, children }: { card: Card; children: ComponentChildren }) {
  const { row, examples } = card;
  const { data: project } = useProject();
  const path = { latent: row.latent };
  const words = useLoaded(project?.words && examples.length > 0 ? `words ${row.latent}` : null, (signal) =>
    asked(api.GET("/api/concepts/{latent}/words", { params: { path }, signal })),
  );
  const marked = new Map(words.data?.marked.map((one) => [one.key, one]));
  return (
    <section class="block" aria-labelledby="examples">
      <header>
        <h2 id="examples">Examples</h2>
        <span class="small faint">
          {marked.size > 0 && "The marked words are those that make it active; a stronger tint is a larger share."}
          {words.slow && "Looking for the words that make it active …"}
          {words.error && !words.data && `The words that make it active are not marked: ${words.error.message}`}
        </span>
        {words.error && !words.data && (
          <button class="btn quiet s" type="button" onClick={words.reload}>
            Try again
          </button>
        )}
      </header>
      {examples.length === 0 && <NoEvidence />}
      {BANDS.map(([band, title]) => {
        const of = examples.filter((one) => one.band === band);
        return of.length > 0 && <Band key={band} band={band} title={title} of={of} card={card} marked={marked} />;
      })}
      {children}
    </section>
  );
}

function Band(props: { band: string; title: string; of: Example[]; card: Card; marked: Map<string, Words> }) {
  const { of, card, marked } = props;
  const [all, showAll] = useState(false);
  const first = props.band === "top" ? 5 : 3;
  return (
    <>
      <div class="band">
        <h3>{props.title}</h3>
        <span class="small faint">{remark(of, props.band, card.row.holds_from)}</span>
      </div>
      <ul class="ex">
        {(all ? of : of.slice(0, first)).map((one) => (
          <ExampleLine key={one.number} one={one} card={card} words={marked.get(String(one.number))} />
        ))}
      </ul>
      {!all && of.length > first && (
        <button class="btn quiet s flush" type="button" onClick={() => showAll(true)}>
          {of.length - first} more<span class="vh"> examples: {props.title}</span>
        </button>
      )}
    </>
  );
}

/** Whether the name holds for the texts of a band. */
function remark(of: Example[], band: string, holds: number | null): string {
  if (band === "near-miss") return "close in meaning, yet silent";
  if (!holds) return "";
  const above = of.filter((one) => one.activation >= holds).length;
  if (above === of.length) return "the name holds for all of these";
  return above === 0 ? "below where the name holds, so they are traces" : `the name holds for ${above} of ${of.length}`;
}

function ExampleLine({ one, card, words }: { one: Example; card: Card; words: Words | undefined }) {
  const { row } = card;
  return (
    <li>
      <Activation value={one.activation} strongest={row.strongest} holds={row.holds_from} />
      <div>
        <p dir="auto">
          <Marked text={one.text} marked={words} slot={0} length={MOST} />
        </p>
        <span class="src">
          <a class="plain" href={address("/passage", { id: one.passage_id, sel: row.latent })}>
            <bdi>{one.title || one.passage_id}</bdi>
          </a>
          , {one.source === "sentences" ? "sentence" : "passage"}
        </span>
      </div>
    </li>
  );
}

/** An activation with its part of the concept's strongest: in colour from where the name holds. */
export function Activation(props: { value: number; strongest: number; holds: number | null }) {
  const width = props.strongest > 0 ? Math.min(1, Math.max(0, props.value / props.strongest)) * 52 : 0;
  const over = props.holds !== null && props.value >= props.holds;
  return (
    <span class="a num">
      {figure(props.value)}
      {props.value > 0 && (
        <svg aria-hidden="true">
          <rect class="all" width="52" height="3" />
          <rect class={over ? "over" : "under"} width={width} height="3" />
        </svg>
      )}
    </span>
  );
}

function NoEvidence() {
  const { data } = useProject();
  return (
    <div class="no-evidence">
      <p class="mute">Evidence has not been gathered for this concept yet.</p>
      <pre class="cmd">unweave name {data?.path ?? "PROJECT"}</pre>
    </div>
  );
}
