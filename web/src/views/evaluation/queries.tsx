/** Two systems query by query: their difference in a sentence, its histogram, and the queries that are brushed. */
import { useMemo, useRef } from "preact/hooks";
import { address, changed, go } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { useKeys } from "../../keys";
import { count, figure, signed } from "../../parts/figures";
import { useRows } from "../../parts/rows";
import { Failed, Lines } from "../../parts/states";
import { type Brush, isWhole, WHOLE, written } from "./brush";
import { Histogram } from "./histogram";
import { OpenedQuery } from "./opened";
import { listed, type State } from "./state";
import { brushed, difference } from "./words";

const ROW_PX = 35;

export function QueryByQuery({ state }: { state: State }) {
  const { a, b, measure } = state;
  const compared = useLoaded(`${a}\n${b}\n${measure}`, (signal) =>
    asked(api.GET("/api/evaluation/difference", { params: { query: { first: a, second: b, measure } }, signal })),
  );
  const clear = () => go(changed({ from: null, to: null }));
  useKeys([{ on: "Escape", shown: "Esc", does: "Close the query, then clear the brush", run: () => leave(state) }]);
  const found = compared.data;
  return (
    <section class="block" aria-labelledby="by-query">
      <header>
        <h2 id="by-query">
          <bdi>{a}</bdi> against <bdi>{b}</bdi>, query by query
        </h2>
      </header>
      {compared.error && <Failed error={compared.error} onRetry={compared.reload} />}
      {!found && compared.slow && (
        <>
          <p class="mute" role="status">
            Queries are drawn anew to see how sure the difference is; that may take some seconds.
          </p>
          <Lines n={8} height={18} />
        </>
      )}
      {found && (
        <div class={compared.loading ? "old" : ""}>
          <p class="mute said-of-both">{difference(found)}</p>
          <Differences found={found} state={state} onClear={clear} />
        </div>
      )}
    </section>
  );
}

function leave(state: State): void {
  if (state.query !== null) go(changed({ query: null }));
  else go(changed({ from: null, to: null }));
}

interface DifferencesProps {
  found: Shape<"SystemsCompared">;
  state: State;
  onClear: () => void;
}

function Differences({ found, state, onClear }: DifferencesProps) {
  const differences = useMemo(() => found.queries.map((query) => query.first - query.second), [found]);
  const shown = useMemo(
    () => listed(found.queries, state),
    [found, state.brush.from, state.brush.to, state.words, state.lossesFirst],
  );
  // While the pointer is down the address is replaced; the entry that Back returns to is made before the first change.
  const dragging = useRef(false);
  const brush = (to: Brush, done: boolean) => {
    go(changed({ ...written(to), query: null }), dragging.current ? "replace" : "push");
    dragging.current = !done;
  };
  return (
    <>
      <Histogram
        differences={differences}
        brush={state.brush}
        a={found.first}
        b={found.second}
        measure={found.measure}
        onBrush={brush}
      />
      <div class="tools listed">
        <p class="mute" role="status">
          <b>{count(shown.length)}</b> {brushed(state.brush, found.first, found.second)}
          {state.words && " with these words"}
        </p>
        {!isWhole(state.brush) && (
          <button type="button" class="btn quiet s" onClick={onClear}>
            Clear <span class="kbd">Esc</span>
          </button>
        )}
        <label class="words">
          <span class="vh">Only queries with these words</span>
          <input
            class="field s"
            placeholder="Words in the query"
            value={state.words}
            onInput={(event) => go(changed({ words: event.currentTarget.value, query: null }), "replace")}
          />
        </label>
      </div>
      {shown.length > 0 ? (
        <List found={found} shown={shown} state={state} />
      ) : (
        <p class="mute">
          No query is here.{" "}
          <a href={changed({ ...written(WHOLE), words: null })}>Show all {count(found.queries.length)}</a>
        </p>
      )}
    </>
  );
}

interface ListProps {
  found: Shape<"SystemsCompared">;
  shown: Shape<"QueryDifference">[];
  state: State;
}

function List({ found, shown, state }: ListProps) {
  const head = useRef<HTMLTableSectionElement>(null);
  const rows = useRows(shown.length, ROW_PX, head, (i) => shown[i]?.query_id ?? i);
  return (
    <table class="grid by-query" aria-rowcount={shown.length + 1}>
      <caption class="vh">Queries by the difference of the two systems</caption>
      <thead>
        <tr aria-rowindex={1}>
          <th>Query</th>
          <th class="lo line">
            <span>
              <span>0</span>
              <span>
                ● <bdi>{found.first}</bdi> ○ <bdi>{found.second}</bdi>
              </span>
              <span>1</span>
            </span>
          </th>
          <th class="num lo">
            <bdi>{found.first}</bdi>
          </th>
          <th class="num lo">
            <bdi>{found.second}</bdi>
          </th>
          <th class="num" aria-sort={state.lossesFirst ? "ascending" : "descending"}>
            <button type="button" onClick={() => go(changed({ order: state.lossesFirst ? null : "losses" }))}>
              Difference <span aria-hidden="true">{state.lossesFirst ? "↑" : "↓"}</span>
            </button>
          </th>
          <th class="lo">
            <span class="vh">In the search</span>
          </th>
        </tr>
      </thead>
      <tbody ref={head} aria-hidden="true">
        {rows.before > 0 && (
          <tr class="room">
            <td colSpan={6} style={{ height: `${rows.before}px` }} />
          </tr>
        )}
      </tbody>
      {rows.items.map(({ index, key }) => {
        const query = shown[index];
        return query ? (
          <tbody key={key} ref={rows.measure} data-index={index}>
            <Row query={query} index={index} state={state} />
          </tbody>
        ) : null;
      })}
      {rows.after > 0 && (
        <tbody aria-hidden="true">
          <tr class="room">
            <td colSpan={6} style={{ height: `${rows.after}px` }} />
          </tr>
        </tbody>
      )}
    </table>
  );
}

function Row({ query, index, state }: { query: Shape<"QueryDifference">; index: number; state: State }) {
  const open = state.query === query.query_id;
  const text = query.text || query.query_id;
  const value = query.first - query.second;
  return (
    <>
      <tr class={open ? "sel" : ""} aria-rowindex={index + 2}>
        <td class="name">
          <button
            type="button"
            class="row-open"
            aria-expanded={open}
            title={text}
            onClick={() => go(changed({ query: open ? null : query.query_id }))}
          >
            <bdi>{text}</bdi>
          </button>
        </td>
        <td class="lo line">
          <Pair first={query.first} second={query.second} />
        </td>
        <td class="num lo">{figure(query.first, 2)}</td>
        <td class="num lo">{figure(query.second, 2)}</td>
        <td class="num">
          <b>{signed(value, 2)}</b>
        </td>
        <td class="num lo">
          <a class="btn quiet s" href={address("/search", { q: text, system: state.a })}>
            Search
          </a>
        </td>
      </tr>
      {open && (
        <tr>
          <td colSpan={6} class="opened">
            <OpenedQuery id={query.query_id} a={state.a} b={state.b} />
          </td>
        </tr>
      )}
    </>
  );
}

function Pair({ first, second }: { first: number; second: number }) {
  const [low, high] = first < second ? [first, second] : [second, first];
  return (
    <svg class="pair-line" aria-hidden="true">
      <line class="all" x1="0" x2="100%" y1="9" y2="9" />
      <line class={first > second ? "wins" : "loses"} x1={`${100 * low}%`} x2={`${100 * high}%`} y1="9" y2="9" />
      <circle class="second" cx={`${100 * second}%`} cy="9" r="4" />
      <circle class="first" cx={`${100 * first}%`} cy="9" r={first === second ? 2.5 : 4.5} />
    </svg>
  );
}
