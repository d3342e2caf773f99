/** Word × word: the dense score of a query and a passage as a table that adds up to it. */
import { useState } from "preact/hooks";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { figure } from "../../parts/figures";
import { Scrolls } from "../../parts/scrolls";
import { Failed, Lines } from "../../parts/states";
import { type Line, type WordTable, wordTable } from "./wordtable";

const COLUMNS = 8;
const ROWS = 12;

export function WordByWord({ query, id, steered }: { query: string; id: string; steered: boolean }) {
  const { data, error, slow, reload } = useLoaded(JSON.stringify([query, id]), (signal) =>
    asked(api.GET("/api/pairs", { params: { query: { q: query, passage: id } }, signal })),
  );
  if (error) return <Failed error={error} onRetry={reload} />;
  if (data) return <Pairs of={data} steered={steered} />;
  if (!slow) return null;
  return (
    <>
      <p class="small mute" role="status">
        Reading both texts word by word; the first time since the server began, the encoder is loaded for it.
      </p>
      <Lines n={8} />
    </>
  );
}

function Pairs({ of, steered }: { of: Shape<"WordPairs">; steered: boolean }) {
  const [all, showAll] = useState(false);
  const table = wordTable(of, all ? Number.POSITIVE_INFINITY : COLUMNS, all ? Number.POSITIVE_INFINITY : ROWS);
  const folds = [...table.columns, ...table.rows].some((line) => line.fold);
  return (
    <>
      <p class="small mute passage-how">
        What each word of the query and each word of the passage add together to the dense score. A word stands for what
        the encoder makes of it where it stands. The tint is the size; hatched cells, with a minus, take away. Others
        are all other words, and signs such as commas and those that the encoder adds.
        {steered && " This is the score without steering."}
      </p>
      <Scrolls label="Word by word">
        <Table of={table} />
      </Scrolls>
      {(folds || all) && (
        <button class="btn quiet s" type="button" onClick={() => showAll(!all)}>
          {all ? "Only the strongest words" : "Every word"}
        </button>
      )}
    </>
  );
}

function Word({ of }: { of: Line }) {
  if (of.fold)
    return (
      <i>
        {of.label} <span class="faint">({of.n})</span>
      </i>
    );
  return (
    <>
      <bdi>{of.label}</bdi>
      {of.n > 1 && <span class="faint"> × {of.n}</span>}
    </>
  );
}

function Table({ of }: { of: WordTable }) {
  const digits = of.largest < 0.1 ? 4 : 3;
  const heat = (value: number) => (of.largest > 0 ? Math.abs(value) / of.largest : 0);
  return (
    <table class="ledger pairs">
      <caption class="vh">The dense score, words of the passage by words of the query</caption>
      <thead>
        <tr>
          <th scope="col">Passage</th>
          {of.columns.map((column) => (
            <th scope="col" class="num" key={`${column.fold}${column.label}`}>
              <Word of={column} />
            </th>
          ))}
          <th scope="col" class="num">
            All
          </th>
        </tr>
      </thead>
      <tbody>
        {of.rows.map((row, i) => (
          <tr key={`${row.fold}${row.label}`}>
            <th scope="row">
              <Word of={row} />
            </th>
            {of.columns.map((column, j) => {
              const value = of.cells[i]?.[j] ?? 0;
              const shown = figure(value, digits);
              const fold = row.fold || column.fold;
              return (
                <td
                  key={`${column.fold}${column.label}`}
                  class={`num cell${shown.startsWith("−") ? " less" : ""}`}
                  style={{ "--h": fold ? "0" : heat(value).toFixed(3) }}
                >
                  {shown}
                </td>
              );
            })}
            <td class="num">{figure(of.rowSums[i] ?? 0, digits)}</td>
          </tr>
        ))}
      </tbody>
      <tfoot>
        <tr>
          <th scope="row">All</th>
          {of.columns.map((column, j) => (
            <td class="num" key={`${column.fold}${column.label}`}>
              {figure(of.columnSums[j] ?? 0, digits)}
            </td>
          ))}
          <td class="num">{figure(of.sum, digits)}</td>
        </tr>
      </tfoot>
    </table>
  );
}
