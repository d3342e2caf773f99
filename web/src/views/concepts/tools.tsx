/** Above the table: two fields, filters, and how many rows there are. */
import { changed, go } from "../../address";
import { count, counted } from "../../parts/figures";
import { Mark, type Trust } from "../../parts/mark";
import { useProject } from "../../project";
import { filters, type Query, TRUSTS } from "./query";
import { useTyped } from "./typed";

const REMARKS = ["generic", "boilerplate", "hub"];
/** Values of the select: a remark may say anything, so that it stands behind a word of its own. */
const ANY = "any";
const REMARK = "remark ";

function remarked(value: string): { flag: string | null; flagged: boolean } {
  return { flag: value.startsWith(REMARK) ? value.slice(REMARK.length) : null, flagged: value === ANY };
}

export function Tools({ query, total }: { query: Query; total: number | undefined }) {
  const { data: project } = useProject();
  const words = useTyped(query.words, (text) => go(changed({ words: text.trim() }), "replace"), 200);
  const resorted = { sort: null, descending: null }; // with a text, by activation
  const text = useTyped(query.text, (to) => go(changed({ text: to.trim(), ...resorted }), "replace"), 600);
  const toggle = (trust: Trust) => {
    const now = query.trust.includes(trust) ? query.trust.filter((one) => one !== trust) : [...query.trust, trust];
    go(changed({ trust: now.join(",") }));
  };
  const remarks = [...new Set([...REMARKS, ...(query.flag ? [query.flag] : [])])];
  return (
    <search>
      <div class="tools fields">
        <label>
          <span class="vh">Concepts by words of their names, or by number</span>
          <input
            class="field s"
            type="search"
            dir="auto"
            placeholder="By words in a name, or a number"
            maxLength={1000}
            value={words.typed}
            onInput={(event) => words.type(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Enter" && words.now()}
          />
        </label>
        <label>
          <span class="vh">Concepts by a text that activates them</span>
          <input
            class="field s"
            type="search"
            dir="auto"
            placeholder="By text: which concepts does it activate?"
            maxLength={10_000}
            value={text.typed}
            onInput={(event) => text.type(event.currentTarget.value)}
            onKeyDown={(event) => event.key === "Enter" && text.now()}
          />
        </label>
      </div>
      <div class="tools filters">
        {/* biome-ignore lint/a11y/useSemanticElements: a fieldset cannot be laid out in a line */}
        <span class="chosen" role="group" aria-label="Marks">
          {TRUSTS.map((trust) => (
            <button
              key={trust}
              class="btn s"
              type="button"
              aria-pressed={query.trust.includes(trust)}
              onClick={() => toggle(trust)}
            >
              <Mark trust={trust} words /> <span class="faint">{count(project?.marks[trust] ?? 0)}</span>
            </button>
          ))}
        </span>
        {project?.n_returning !== null && (
          <select
            class="field s"
            aria-label="Returns"
            value={query.returns === null ? "" : String(query.returns)}
            onChange={(event) => go(changed({ returns: event.currentTarget.value }))}
          >
            <option value="">Returning or not</option>
            <option value="true">Returns</option>
            <option value="false">Does not return</option>
          </select>
        )}
        <select
          class="field s"
          aria-label="Remark"
          value={query.flagged ? ANY : query.flag === null ? "" : REMARK + query.flag}
          onChange={(event) => go(changed(remarked(event.currentTarget.value)))}
        >
          <option value="">Remark or not</option>
          <option value={ANY}>Any remark</option>
          {remarks.map((remark) => (
            <option key={remark} value={REMARK + remark}>
              {remark}
            </option>
          ))}
        </select>
        <span class="mute" role="status">
          {said(query, total, project?.n_concepts)}
        </span>
        {filters(query) && (
          <button class="btn quiet s" type="button" onClick={() => go("/concepts")}>
            Clear
          </button>
        )}
      </div>
    </search>
  );
}

function said(query: Query, total: number | undefined, all: number | null | undefined): string {
  if (total === undefined) return "Loading";
  if (query.text && !query.words && query.trust.length === 0 && query.returns === null && !query.flag && !query.flagged)
    return `${counted(total, "concept")} ${total === 1 ? "is" : "are"} active`;
  if (!filters(query) || !all) return counted(total, "concept");
  return `${count(total)} of ${counted(all, "concept")}`;
}
