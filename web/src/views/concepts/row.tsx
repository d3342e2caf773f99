/** One row of the table of concepts. */
import { address, changed } from "../../address";
import { count, figure } from "../../parts/figures";
import { Mark, Returns } from "../../parts/mark";
import { called } from "../../parts/name";
import { Spark } from "../../parts/spark";
import type { Row } from "./query";

export function Cells(props: {
  row: Row;
  /** The strongest activation by the text that was asked with; null: there is none. */
  largest: number | null;
  selected: boolean;
  onSelect: () => void;
  onOpen: () => void;
}) {
  const { row } = props;
  return (
    <>
      <td class="select lo">
        <input
          type="checkbox"
          tabIndex={-1}
          checked={props.selected}
          aria-label={`Select #${row.latent}`}
          onChange={props.onSelect}
        />
      </td>
      <td class="name">
        <a href={address(`/concepts/${row.latent}`)} tabIndex={-1} title={called(row)} onClick={props.onOpen}>
          {row.name === null || row.trust === "none" ? (
            <>
              <span class="nm-none">No name holds</span> <span class="faint">#{row.latent}</span>
            </>
          ) : (
            <bdi>{row.name}</bdi>
          )}
        </a>
        {row.merged_into !== null && <span class="faint"> → #{row.merged_into}</span>}
      </td>
      {props.largest !== null && (
        <td class="num">
          <Active row={row} largest={props.largest} />
        </td>
      )}
      <td class="markcell">
        <Mark trust={row.trust} words />
      </td>
      <td class="num lo">{holds(row)}</td>
      <td class="lo">
        <Spark counts={row.spark} holds={row.holds_from} strongest={row.strongest} />
      </td>
      <td class={props.largest === null ? "num" : "num lo"}>{count(row.document_frequency)}</td>
      <td class="num lo md">{figure(row.strongest)}</td>
      <td class="num lo md">{row.detection === null ? "–" : figure(row.detection, 2)}</td>
      <td class="lo hi">
        <Returns returns={row.returns} words />
      </td>
      <td class="lo hi flag">
        {row.flag !== null && (
          <a class="tag" href={changed({ flag: row.flag })} tabIndex={-1} title={row.flag}>
            <bdi>{row.flag}</bdi>
          </a>
        )}
      </td>
      <td class="num faint lo md">#{row.latent}</td>
    </>
  );
}

function holds(row: Row): string {
  if (row.holds_from === null) return "–";
  return row.holds_from === 0 ? "any" : figure(row.holds_from);
}

function Active({ row, largest }: { row: Row; largest: number }) {
  const activation = row.activation ?? 0;
  const over = row.holds_from !== null && activation >= row.holds_from;
  const width = largest > 0 ? Math.max(1, (activation / largest) * 56) : 0;
  return (
    <span class="active">
      <svg class="w" aria-hidden="true">
        {over ? (
          <rect class="over" y="1" width={width} height="6" rx="1" />
        ) : (
          <rect class="trace" x=".5" y="1.5" width={Math.max(0, width - 1)} height="5" rx="1" />
        )}
      </svg>
      {figure(activation)}
      <span class="vh">{over ? "" : ", a trace"}</span>
    </span>
  );
}

/** A row whose page is not there yet. */
export function Waiting({ byText }: { byText: boolean }) {
  const shape = (width: number) => <span class="sk" style={{ width: `${width}px`, height: "12px" }} />;
  return (
    <>
      <td class="select lo" />
      <td class="name">{shape(160)}</td>
      {byText && <td>{shape(90)}</td>}
      <td class="markcell">{shape(60)}</td>
      <td class="lo" />
      <td class="lo">{shape(96)}</td>
      <td class={byText ? "lo" : undefined}>{shape(60)}</td>
      <td class="lo md" />
      <td class="lo md" />
      <td class="lo hi" />
      <td class="lo hi" />
      <td class="lo md" />
    </>
  );
}
