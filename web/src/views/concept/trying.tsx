/** Test a text of one's own: does it activate the concept, by which words, and what else does it activate? */
import { useState } from "preact/hooks";
import { changed, go, useAddress } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { figure } from "../../parts/figures";
import { called } from "../../parts/name";
import { Failed } from "../../parts/states";
import { Marked } from "../../score/marked";
import { RelatedLine } from "./related";
import type { Card } from "./view";

const FIRST = 6;

export function TryText({ card: { row } }: { card: Card }) {
  const { params } = useAddress();
  const tested = params.get("try") ?? "";
  const [text, type] = useState(tested);
  const tried = useLoaded(tested ? `try ${row.latent} ${tested}` : null, (signal) =>
    asked(api.POST("/api/try", { body: { text: tested, latent: row.latent }, signal })),
  );
  const test = () => {
    if (text.trim() && text.trim() === tested) tried.reload();
    else go(changed({ try: text.trim() }), "replace");
  };
  return (
    <section class="block" aria-labelledby="try">
      <header>
        <h2 id="try">Test your own text</h2>
      </header>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          test();
        }}
      >
        <label>
          <span class="vh">Text</span>
          <textarea
            class="field"
            rows={3}
            dir="auto"
            maxLength={10_000}
            value={text}
            onInput={(event) => type(event.currentTarget.value)}
            onKeyDown={(event) => {
              if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
              event.preventDefault();
              test();
            }}
          />
        </label>
        <div class="try-acts">
          <button class="btn s" type="submit" disabled={!text.trim()}>
            Test <span class="kbd">Ctrl Enter</span>
          </button>
          <span class="small faint">Embedded as a passage would be.</span>
        </div>
      </form>
      <div aria-live="polite" class={tried.loading && tried.slow ? "old" : undefined}>
        {tried.error && tested && !tried.data && <Failed error={tried.error} />}
        {tried.data && tested && <Result key={tested} tried={tried.data} text={tested} row={row} />}
      </div>
    </section>
  );
}

function Result({ tried, text, row }: { tried: Shape<"Tried">; text: string; row: Card["row"] }) {
  const [all, showAll] = useState(false);
  const here = tried.activations.find((one) => one.latent === row.latent)?.activation ?? 0;
  const marked = tried.marked[0];
  const shown = all ? tried.activations : tried.activations.slice(0, FIRST);
  const left = tried.activations.length - shown.length;
  const largest = tried.activations[0]?.activation ?? 1;
  return (
    <>
      <p class="try-said">
        <b>{figure(here)}</b> <span class="mute">{verdict(here, row)}</span>
      </p>
      {marked && here > 0 && (
        <p class="try-text" dir="auto">
          <Marked text={text} marked={marked} slot={0} />
        </p>
      )}
      <p class="small faint">
        {tried.activations.length === 0
          ? "This text activates no concept."
          : "All that this text activates, strongest first; grey bars are traces"}
      </p>
      <ul class="rel">
        {shown.map((one) => {
          const trace = one.holds_from === null || one.activation < one.holds_from;
          return (
            <RelatedLine
              key={one.latent}
              of={one}
              part={one.activation / largest}
              shown={figure(one.activation)}
              look={trace ? "trace" : "over"}
              on={one.latent === row.latent}
            />
          );
        })}
      </ul>
      {left > 0 && (
        <button class="btn quiet s flush" type="button" onClick={() => showAll(true)}>
          {left} more
        </button>
      )}
    </>
  );
}

function verdict(here: number, row: Card["row"]): string {
  if (here <= 0) return "This text leaves the concept silent.";
  if (row.holds_from === null) return "It is active. No activation is known from which a name holds.";
  if (row.holds_from === 0) return `It is active, and ${called(row)} is a person’s name: it is used at any activation.`;
  return here >= row.holds_from
    ? `The name holds here: ${figure(here)} is above ${figure(row.holds_from)}.`
    : `A trace: ${figure(here)} is below ${figure(row.holds_from)}, from where the name holds.`;
}
