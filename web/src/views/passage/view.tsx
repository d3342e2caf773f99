/** The reader: a whole passage, the concepts that it activates and the words that carry them, and why a query found it. */
import { useEffect, useState } from "preact/hooks";
import { address, changed, go, useAddress } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { useKeys } from "../../keys";
import { CopyAs } from "../../parts/copy";
import { count } from "../../parts/figures";
import { Marked } from "../../parts/marked";
import { called } from "../../parts/name";
import { Blank, Failed, Lines } from "../../parts/states";
import { type ProjectInfo, useProject } from "../../project";
import type { Slots } from "../../score/groups";
import { keptSlots, NO_SLOTS, slotOf } from "../../score/slots";
import { foldsOf } from "../search/opened";
import { asksOf, searched } from "../search/state";
import { isSteerable } from "../search/sums";
import { Score } from "./account";
import { Concepts } from "./concepts";
import { whereItStands, wordsOf } from "./load";
import { bends, copyable, type Page, type State, stateOf } from "./state";
import { apart, asQuery, asRead, beginning, groupOf, said, stepped, toMark } from "./text";
import { WordByWord } from "./words";

const select = (latent: number | null) => go(changed({ sel: latent }), "replace");

export function PassageView() {
  const state = stateOf(useAddress().params);
  const { data: project } = useProject();
  const { data, error, loading, slow, reload } = useLoaded(state.id || null, (signal) =>
    asked(api.GET("/api/passage", { params: { query: { id: state.id } }, signal })),
  );
  const title = data?.title || `Passage ${state.id}`;
  useEffect(() => {
    document.title = `${title} · ${project?.name ?? "unweave"}`;
  }, [title, project?.name]);
  if (!state.id)
    return (
      <Blank title="Which passage?">
        <p>
          The address names none. <a href="/search">Search for one</a>, and open it by its title.
        </p>
      </Blank>
    );
  if (error?.status === 404)
    return (
      <Blank title="There is no such passage">
        <p>
          <bdi>{error.message}</bdi>
        </p>
        <p>
          <a href={address("/search", searched(state))}>To the search</a>
        </p>
      </Blank>
    );
  if (error)
    return (
      <>
        <h1>{title}</h1>
        <Failed error={error} onRetry={reload} />
      </>
    );
  if (!data) return slow ? <Lines n={12} /> : null;
  return (
    <div aria-busy={loading} class={loading ? "dimmed" : ""}>
      <Reader of={data} state={state} project={project} />
    </div>
  );
}

function Reader({ of, state, project }: { of: Page; state: State; project: ProjectInfo | undefined }) {
  const { q, selected } = state;
  const steers = isSteerable(state.system, project?.steerable ?? {});
  const asks = q && project ? JSON.stringify([of.passage_id, asksOf(state, steers)]) : null;
  const found = useLoaded(asks, (signal) => whereItStands({ ...state, id: of.passage_id }, steers, signal));
  const slots = q && found.data ? keptSlots(q, found.data.page) : NO_SLOTS;
  const standing = found.data?.standing;
  const mark = project?.words ? toMark(of.concepts, selected, slots) : null;
  const known = of.concepts.some((one) => one.latent === mark);
  const words = useLoaded(mark !== null && known ? `${of.passage_id}/${mark}` : null, (signal) =>
    wordsOf(of.passage_id, mark as number, signal),
  );
  useKeys([
    {
      on: "j",
      shown: "j k",
      does: "Next or former concept",
      run: () => select(stepped(of.concepts, selected ?? mark, 1)),
    },
    {
      on: "k",
      shown: "j k",
      does: "Next or former concept",
      run: () => select(stepped(of.concepts, selected ?? mark, -1)),
    },
    { on: "Escape", shown: "Esc", does: "Mark the strongest concept again", run: () => select(null) },
    { on: "w", shown: "w", does: "Word by word", run: () => q && showPairs(!state.pairs) },
  ]);
  return (
    <>
      <p class="crumb">
        {q ? (
          <a href={address("/search", searched(state))}>
            Back to the search for <bdi>“{cut(q)}”</bdi>
          </a>
        ) : (
          <span>
            {project?.name ?? "Corpus"}, passage <bdi>{of.passage_id}</bdi>
          </span>
        )}
      </p>
      <div class="two passage">
        <article class="passage-read">
          <Text of={of} words={known ? (words.data ?? []) : []} slot={slotOf(slots, mark)} named={mark !== null} />
          <p class="sum-line">
            <a class="btn" href={address("/search", { q: asQuery(of), system: state.system })}>
              Find similar
            </a>
            <CopyAs of={copyable(of, state, mark, project)} />
          </p>
          <Metadata of={of} />
        </article>
        <Beside of={of} slots={slots} mark={mark} state={state} words={project?.words ?? true} />
        <div class="passage-why">
          {q && (
            <section class="block" aria-labelledby="why">
              <header>
                <h2 id="why">
                  Why <bdi>“{cut(q)}”</bdi> finds it
                </h2>
              </header>
              {found.error && <Failed error={found.error} onRetry={found.reload} />}
              {!found.data && found.slow && <Lines n={6} />}
              {typeof standing === "object" && (
                <Score
                  of={standing}
                  slots={slots}
                  title={of.title || of.passage_id}
                  folds={foldsOf(state.opened, of.passage_id)}
                  onSelect={select}
                />
              )}
              {typeof standing === "string" && (
                <p class="mute">
                  <bdi>{standing}</bdi>
                </p>
              )}
            </section>
          )}
          {q && project?.words && <Pairs state={state} id={of.passage_id} steered={bends(state, project)} />}
        </div>
      </div>
    </>
  );
}

function showPairs(shown: boolean): void {
  go(changed({ pairs: shown ? 1 : null }), "replace");
}

function cut(query: string): string {
  return query.length > 80 ? `${query.slice(0, 79)}…` : query;
}

interface TextProps {
  of: Page;
  words: Shape<"Word">[];
  slot: number | null;
  named: boolean;
}

function Text({ of, words, slot, named }: TextProps) {
  const read = asRead(of);
  const marks = apart(read.title, words);
  const [whole, showWhole] = useState(false);
  const first = whole ? null : beginning(read.text);
  const colour = named ? `var(--c${(slot ?? 0) + 1})` : "var(--p-edge)";
  return (
    <>
      <h1 class="passage-title" dir="auto">
        {read.title ? (
          <Marked text={read.title} words={marks.title} colour={colour} />
        ) : (
          <>
            Passage <bdi>{of.passage_id}</bdi>
          </>
        )}
      </h1>
      <p class="passage-text" dir="auto">
        <Marked text={first ?? read.text} words={marks.text} colour={colour} />
        {first !== null && " …"}
      </p>
      {first !== null && (
        <button class="btn" type="button" onClick={() => showWhole(true)}>
          Show all {count(read.text.length)} characters
        </button>
      )}
    </>
  );
}

function Metadata({ of }: { of: Page }) {
  const known = Object.entries(of.metadata);
  if (known.length === 0) return null;
  return (
    <section class="block" aria-labelledby="metadata">
      <header>
        <h2 id="metadata">Metadata</h2>
      </header>
      <dl class="kv">
        {known.map(([key, value]) => (
          <>
            <dt>
              <bdi>{key}</bdi>
            </dt>
            <dd class="passage-value">
              <bdi>{said(value)}</bdi>
            </dd>
          </>
        ))}
      </dl>
    </section>
  );
}

function Pairs({ state, id, steered }: { state: State; id: string; steered: boolean }) {
  return (
    <section class="block" aria-labelledby="pairs">
      <header>
        <h2 id="pairs">Word by word</h2>
        <button class="btn s" type="button" aria-expanded={state.pairs} onClick={() => showPairs(!state.pairs)}>
          {state.pairs ? "Hide" : "Show"} <span class="kbd">w</span>
        </button>
      </header>
      {state.pairs && <WordByWord query={state.q} id={id} steered={steered} />}
    </section>
  );
}

interface BesideProps {
  of: Page;
  slots: Slots;
  mark: number | null;
  state: State;
  words: boolean;
}

function Beside({ of, slots, mark, state, words }: BesideProps) {
  const marked = of.concepts.find((one) => one.latent === mark);
  return (
    <aside class="panel" aria-label="Concepts of this passage">
      <section>
        <h2>
          Concepts <span class="small faint">activation</span>
        </h2>
        <p role="status" class="small">
          {marked && (
            <>
              Marked: words of{" "}
              <b>{groupOf(marked) === "unnamed" ? `concept #${marked.latent}` : <bdi>{called(marked)}</bdi>}</b>
            </>
          )}
          {!marked && state.selected !== null && `It does not activate concept #${state.selected}.`}
          {!words && "This encoder shows no words, so that none are marked."}
        </p>
        <Concepts of={of.concepts} slots={slots} marked={mark} selected={state.selected} onSelect={select} />
      </section>
    </aside>
  );
}
