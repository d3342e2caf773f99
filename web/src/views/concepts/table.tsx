/** The table: header buttons sort, arrow keys go from row to row, Enter opens, Space selects; only what is in view is
 * drawn. */
import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { go } from "../../address";
import { counted } from "../../parts/figures";
import { Failed } from "../../parts/states";
import type { Paged } from "../../parts/use_pages";
import { around, useWindowed } from "../../parts/windowed";
import { Bulk } from "./bulk";
import { Header } from "./header";
import { forServer, type Query, type Row } from "./query";
import { Cells, Waiting } from "./row";
import { useSelection } from "./selection";
import { leave, left } from "./trail";

const [ROW, HEADER] = [35, 34]; // pixels
const STEPS: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 15, PageUp: -15, Home: -1e9, End: 1e9 };

export function ConceptTable({ query, list, filtered }: { query: Query; list: Paged<Row>; filtered: boolean }) {
  const body = useRef<HTMLTableSectionElement>(null);
  const [active, activate] = useState(0);
  const moving = useRef(false);
  const shows = JSON.stringify(forServer(query));
  const selection = useSelection(shows);
  const total = list.pages?.total ?? 0;
  const windowed = useWindowed({ count: total, estimate: ROW, within: body, covered: HEADER });
  const items = windowed.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  useEffect(() => list.need(first, last), [first, last, list.pages]);

  const known = list.pages !== undefined;
  useEffect(() => {
    const was = known ? left(location.pathname + location.search) : null;
    if (was === null) return;
    scrollTo(0, was.scroll);
    activate(was.index);
    moving.current = true;
  }, [known]);
  const shown = useRef(shows);
  useEffect(() => {
    if (shown.current === shows) return;
    shown.current = shows; // other rows, or another order: from the first on
    activate(0);
    const top = windowed.options.scrollMargin - HEADER;
    if (scrollY > top) scrollTo(0, top);
  }, [shows]);
  useLayoutEffect(() => {
    if (!moving.current) return;
    const row = body.current?.querySelector<HTMLElement>(`tr[data-index="${active}"]`);
    if (!row) return;
    row.focus({ preventScroll: true });
    moving.current = false;
  });

  const open = (index: number, row: Row) =>
    leave({ address: location.pathname + location.search, query, index, latent: row.latent, scroll: scrollY });
  const onKey = (event: KeyboardEvent) => {
    const row = list.pages?.at(active);
    const step = STEPS[event.key];
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (step !== undefined) {
      const to = Math.min(total - 1, Math.max(0, active + step));
      if (event.shiftKey && row) selection.put([row], true);
      activate(to);
      moving.current = true;
      windowed.scrollToIndex(to);
      const next = list.pages?.at(to);
      if (event.shiftKey && next) selection.put([next], true);
    } else if (event.key === "Enter" && row) {
      open(active, row);
      go(`/concepts/${row.latent}`);
      scrollTo(0, 0);
    } else if (event.key === " " && row) selection.put([row], !selection.has(row.latent));
    else return;
    event.preventDefault();
  };

  const largest = query.text ? strongest(list) : null;
  const columns = largest === null ? 11 : 12;
  const [above, below] = around(windowed);
  const focusable = active >= first && active <= last ? active : first;
  return (
    <>
      {list.error && <Failed error={list.error} onRetry={list.reload} />}
      <Bulk selection={selection} reload={list.reload} />
      <table
        class={query.text ? "grid concepts by-text" : "grid concepts"}
        // biome-ignore lint/a11y/noNoninteractiveElementToInteractiveRole: arrow keys go from row to row, as in a grid
        role="grid"
        aria-rowcount={total + 1}
        aria-colcount={columns}
        aria-multiselectable="true"
        aria-busy={list.loading}
      >
        <caption class="vh">{filtered ? "Concepts that pass the filters" : "All concepts"}</caption>
        <Header query={query} total={total} selection={selection} />
        <tbody ref={body} class={list.loading && list.slow ? "old" : undefined} onKeyDown={onKey}>
          <Space height={above} />
          {!list.pages &&
            list.slow &&
            Array.from({ length: 12 }, (_, i) => (
              // biome-ignore lint/a11y/noAriaHiddenOnFocusable: a row that stands for nothing
              <tr key={i} aria-hidden="true">
                <Waiting byText={largest !== null} />
              </tr>
            ))}
          {items.map(({ index }) => {
            const row = list.pages?.at(index);
            const selected = row !== undefined && selection.has(row.latent);
            return (
              <tr
                key={index}
                data-index={index}
                ref={windowed.measureElement}
                aria-rowindex={index + 2}
                aria-selected={selected}
                class={selected ? "sel" : undefined}
                tabIndex={index === focusable ? 0 : -1}
                onFocus={() => activate(index)}
              >
                {row ? (
                  <Cells
                    row={row}
                    largest={largest}
                    selected={selected}
                    onSelect={() => selection.put([row], !selected)}
                    onOpen={() => open(index, row)}
                  />
                ) : (
                  <Waiting byText={largest !== null} />
                )}
              </tr>
            );
          })}
          <Space height={below} />
        </tbody>
      </table>
      {total > 0 && (
        <p class="small faint under-table">
          {counted(total, "row")}. <span class="only-wide-cell">↑ ↓ to go, Enter to open, Space to select.</span>
        </p>
      )}
    </>
  );
}

/** What stands for the rows that are not drawn. */
function Space({ height }: { height: number }) {
  return height > 0 ? (
    // biome-ignore lint/a11y/noAriaHiddenOnFocusable: it cannot have the focus
    <tr aria-hidden="true" class="space">
      <td style={{ height: `${height}px` }} />
    </tr>
  ) : null;
}

/** The highest activation of the text in the table; all rows of a text fit into its first page. */
function strongest(list: Paged<Row>): number {
  let most = 0;
  for (const [, row] of list.pages ?? []) most = Math.max(most, row.activation ?? 0);
  return most;
}
