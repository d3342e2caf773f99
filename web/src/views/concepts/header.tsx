/** The header of the table: a button for each column that sorts, and a box that selects all rows. */
import { changed, go } from "../../address";
import { api, asked } from "../../api/client";
import { forServer, type Query, type Sort, sorted } from "./query";
import type { Selection } from "./selection";

/** Rows that can be changed at once. */
const MOST = 1_000;

const COLUMNS: [by: Sort | null, title: string, look: string][] = [
  ["name", "Name", "w-name"],
  ["activation", "Active here", "num w-active"],
  ["trust", "Mark", "w-mark"],
  ["holds", "Holds from", "num lo w-holds"],
  [null, "Activations", "lo w-spark"],
  ["df", "Passages", "num w-df"],
  ["strongest", "Strongest", "num lo md w-strongest"],
  ["detection", "Detection", "num lo md w-detection"],
  ["returns", "Returns", "lo hi w-returns"],
  [null, "Flag", "lo hi w-flag"],
  ["latent", "Number", "num lo md w-number"],
];

export function Header(props: { query: Query; total: number; selection: Selection }) {
  const { query, total, selection } = props;
  const all = total > 0 && selection.rows.length === total;
  const selectAll = async (wanted: boolean) => {
    if (!wanted) {
      selection.clear();
      return;
    }
    const asking = { ...forServer(query), limit: MOST };
    const { rows } = await asked(api.GET("/api/concepts", { params: { query: asking } }));
    selection.put(rows, true);
  };
  return (
    <thead>
      <tr aria-rowindex={1}>
        <th class="select lo" scope="col">
          <input
            type="checkbox"
            aria-label="Select all rows"
            title={total > MOST ? `At most ${MOST} concepts can be changed at once; filter them first.` : "Select all"}
            disabled={total === 0 || total > MOST}
            checked={all}
            ref={(box) => {
              if (box) box.indeterminate = !all && selection.rows.length > 0;
            }}
            onChange={(event) => selectAll(event.currentTarget.checked)}
          />
        </th>
        {COLUMNS.filter(([by]) => by !== "activation" || query.text).map(([by, title, look]) => (
          <Column
            key={title}
            by={by}
            title={title}
            look={by === "df" && query.text ? `${look} lo` : look}
            query={query}
          />
        ))}
      </tr>
    </thead>
  );
}

function Column({ by, title, look, query }: { by: Sort | null; title: string; look: string; query: Query }) {
  if (by === null)
    return (
      <th class={look} scope="col">
        {title}
      </th>
    );
  const here = query.sort === by;
  const direction = here ? (query.descending ? "descending" : "ascending") : "none";
  return (
    <th class={look} scope="col" aria-sort={direction}>
      <button type="button" onClick={() => go(changed({ ...sorted(query, by) }))}>
        {title}
        {here && <span aria-hidden="true">{query.descending ? "↓" : "↑"}</span>}
      </button>
    </th>
  );
}
