/** The query, and what searches for it. */
import { useEffect, useState } from "preact/hooks";
import { address, changed, go } from "../../address";
import { calledSystem } from "../../parts/systems";
import type { ProjectInfo } from "../../project";
import type { SearchState } from "./state";
import { SumDialog } from "./sum";
import { offered } from "./sums";

const BUILD = "+";

/** A new query begins anew: what belongs to the old one goes, the system and the filter stay. */
export function toQuery(q: string, state: SearchState): string {
  const system = state.system === "dense" ? null : state.system;
  return address("/search", { q, system, where: state.where });
}

export function Ask({ state, project }: { state: SearchState; project: ProjectInfo | undefined }) {
  const [text, setText] = useState(state.q);
  const [building, build] = useState(false);
  useEffect(() => setText(state.q), [state.q]);
  const submit = (event: Event) => {
    event.preventDefault();
    if (text.trim() && text.trim() !== state.q) go(toQuery(text.trim(), state));
  };
  const choose = (system: string) => go(changed({ system, compare: null, steps: null }));
  return (
    <>
      <search>
        <form class="ask" onSubmit={submit}>
          <label>
            <span class="vh">Query</span>
            <input
              class="field"
              type="search"
              value={text}
              maxLength={10_000}
              placeholder="Ask a question, or paste a text"
              autocomplete="off"
              dir="auto"
              onInput={(event) => setText(event.currentTarget.value)}
            />
          </label>
          <label>
            <span class="vh">System</span>
            <select
              class="field"
              value={state.system}
              onChange={(event) => {
                const { value } = event.currentTarget;
                if (value !== BUILD) return choose(value);
                event.currentTarget.value = state.system;
                build(true);
              }}
            >
              {offered(project?.systems ?? [], state.system).map((system) => (
                <option key={system} value={system}>
                  {calledSystem(system)}
                </option>
              ))}
              <option value={BUILD}>Build a sum …</option>
            </select>
          </label>
          <button class="btn primary" type="submit">
            Search
          </button>
          {state.q && (
            <a
              class="btn only-wide"
              href={changed({ view: state.sideBySide ? null : "systems", compare: null, steps: null })}
              aria-current={state.sideBySide ? "true" : undefined}
            >
              {state.sideBySide ? "One system" : "Side by side"}
            </a>
          )}
        </form>
      </search>
      {building && (
        <SumDialog
          systems={project?.systems ?? []}
          from={state.system}
          onChoose={(system) => {
            build(false);
            choose(system);
          }}
          onClose={() => build(false)}
        />
      )}
    </>
  );
}
