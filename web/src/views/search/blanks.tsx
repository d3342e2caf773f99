/** A search without hits: before the first query, while it runs, when nothing is found, and when it fails. */
import { changed, go } from "../../address";
import type { Refused } from "../../api/client";
import { count } from "../../parts/figures";
import { Blank, Failed } from "../../parts/states";
import { calledSystem } from "../../parts/systems";
import type { ProjectInfo } from "../../project";
import { toQuery } from "./ask";
import { listed } from "./moves";
import type { SearchState } from "./state";

export function BeforeTheFirst({ state, project }: { state: SearchState; project: ProjectInfo | undefined }) {
  const examples = project?.examples ?? [];
  return (
    <Blank level={2} title="Ask, and see why each passage was found">
      <p>
        Every score is shown as an exact sum of named concepts, a bias and a residual. Boost or ban a concept, and watch
        the ranks move.
      </p>
      {examples.length > 0 && (
        <>
          <h3>Try one</h3>
          <div class="tries">
            {examples.map((text) => (
              <a key={text} href={toQuery(text, state)}>
                <bdi>{text}</bdi>
              </a>
            ))}
          </div>
        </>
      )}
    </Blank>
  );
}

const SHAPES: [title: number, text: number, bar: number][] = [
  [90, 92, 98],
  [120, 92, 78],
  [70, 92, 77],
  [150, 92, 75],
  [110, 92, 70],
];

export function Searching({ n }: { n: number | undefined }) {
  return (
    <>
      <p class="sum-line" role="status">
        Searching {n === undefined ? "" : `${count(n)} passages`}. The first query also loads the encoder, which takes
        some seconds.
      </p>
      <div class="two">
        <section aria-busy="true" aria-label="Hits">
          <ol class="hits" aria-hidden="true">
            {SHAPES.map(([title, text, bar]) => (
              <li class="hit" key={title}>
                <span />
                <div class="body">
                  <span class="sk" style={{ width: `${title}px`, height: "16px", margin: "3px 0" }} />
                  <span class="sk" style={{ width: `${text}%`, height: "12px", margin: "8px 0 6px" }} />
                  <span class="sk" style={{ width: `${bar}%`, height: "22px", margin: "12px 0" }} />
                </div>
              </li>
            ))}
          </ol>
        </section>
        <aside class="panel only-wide" aria-hidden="true">
          <section>
            <span class="sk" style={{ width: "70%", height: "28px" }} />
            <span class="sk" style={{ height: "10px", marginTop: "12px" }} />
          </section>
          <section>
            {SHAPES.map(([key]) => (
              <span class="sk" key={key} style={{ height: "36px", margin: "8px 0" }} />
            ))}
          </section>
        </aside>
      </div>
    </>
  );
}

export function NoHit({ state, project }: { state: SearchState; project: ProjectInfo | undefined }) {
  const { where, bans, system } = state;
  const why = where.length
    ? `No hit has ${listed(where.map((one) => one.replace("=", " = ")))}`
    : bans.length
      ? "Every hit has a banned concept"
      : "No passage was found";
  const others = (project?.systems ?? []).filter((one) => one === "dense" && one !== system);
  return (
    <Blank level={2} title={why}>
      {where.map((one) => {
        const key = one.slice(0, one.indexOf("="));
        const values = project?.metadata[key] ?? [];
        if (values.length === 0) return <p key={one}>No passage of this project has metadata called {key}.</p>;
        const more = values.length > 6 ? [...values.slice(0, 5), `${values.length - 5} more`] : values;
        return (
          <p key={one}>
            {key} is one of {listed(more, "or")}.
          </p>
        );
      })}
      {where.length + bans.length === 0 && (
        <p>
          {system === "BM25"
            ? "BM25 finds only passages that share a word with the query. Ask in other words, or search by meaning."
            : "Ask in other words, or with another system."}
        </p>
      )}
      <p class="acts-row">
        {where.length > 0 && (
          <button class="btn primary" type="button" onClick={() => go(changed({ where: null }))}>
            Remove the filter
          </button>
        )}
        {bans.length > 0 && (
          <button class="btn" type="button" onClick={() => go(changed({ ban: null }))}>
            Lift the ban
          </button>
        )}
        {others.map((one) => (
          <button key={one} class="btn" type="button" onClick={() => go(changed({ system: one }))}>
            Search with {calledSystem(one)}
          </button>
        ))}
      </p>
    </Blank>
  );
}

export function NotSearched({ error, onRetry }: { error: Refused; onRetry: () => void }) {
  return (
    <div class="not-searched">
      <Failed error={error} onRetry={onRetry} />
      <p class="small faint">
        {error.status > 0 && `Status ${error.status}, ${error.kind}. `}
        The query and the steering are kept in the address of this page.
      </p>
    </div>
  );
}
