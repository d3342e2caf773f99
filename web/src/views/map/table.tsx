/** Concepts of the map as a table: those of the box, or all; it says by itself what the picture says. */
import { useRef, useState } from "preact/hooks";
import { address, changed, go } from "../../address";
import type { Shape } from "../../api/client";
import { count, figure } from "../../parts/figures";
import { Mark } from "../../parts/mark";
import { ConceptName } from "../../parts/name";
import { useRows } from "../../parts/rows";
import { conceptOf } from "./named";
import type { State } from "./state";

const ROW_PX = 35;

interface Props {
  map: Shape<"ConceptMap">;
  rows: number[];
  /** Concepts that are shown at all. */
  of: number;
  state: State;
  /** Row of the selected concept; -1: none. */
  sel: number;
  /** The keyboard or the pointer is on a row. */
  onPoint?: (row: number | null) => void;
  /** Rows that are shown before the others are asked for; by default all, as far as they are on the screen. */
  most?: number;
}

export function ConceptTable({ map, rows, of, state, sel, onPoint, most }: Props) {
  const [all, showAll] = useState(false);
  const shown = most === undefined || all ? rows : rows.slice(0, most);
  const chosen = sel >= 0 ? conceptOf(map, sel) : null;
  return (
    <>
      <p class="mute map-count" role="status">
        <b>{count(rows.length)}</b>
        {state.box ? ` of ${count(of)} concepts in the box.` : " concepts, those of most passages first."}
        {state.box && (
          <button type="button" class="btn quiet s" onClick={() => go(changed({ box: null }))}>
            Clear <span class="kbd">Esc</span>
          </button>
        )}
      </p>
      {chosen && (
        <p class="map-chosen">
          <ConceptName of={chosen} />{" "}
          <a class="btn quiet s" href={changed({ layer: "passages" })}>
            Its passages on the map
          </a>
        </p>
      )}
      <Rows map={map} rows={shown} sel={sel} onPoint={onPoint} places={most === undefined} />
      {shown.length < rows.length && (
        <p class="then">
          <button type="button" class="btn s" onClick={() => showAll(true)}>
            Show all {count(rows.length)}
          </button>
        </p>
      )}
    </>
  );
}

interface RowsProps {
  map: Shape<"ConceptMap">;
  rows: number[];
  sel: number;
  onPoint: ((row: number | null) => void) | undefined;
  /** With where they are on the map. */
  places: boolean;
}

function Rows({ map, rows, sel, onPoint, places }: RowsProps) {
  const start = useRef<HTMLTableSectionElement>(null);
  const virtual = useRows(rows.length, ROW_PX, start, (i) => rows[i] ?? i);
  const columns = places ? 5 : 3;
  return (
    <table class="grid map-table" aria-rowcount={rows.length + 1}>
      <caption class="vh">Concepts, the most frequent first</caption>
      <thead>
        <tr aria-rowindex={1}>
          <th>Concept</th>
          <th>Mark</th>
          <th class="num">Passages</th>
          {places && (
            <>
              <th class="num lo">Across</th>
              <th class="num lo">Up</th>
            </>
          )}
        </tr>
      </thead>
      <tbody ref={start} onPointerLeave={() => onPoint?.(null)}>
        {virtual.before > 0 && <Room columns={columns} height={virtual.before} />}
        {virtual.items.map(({ index }) => {
          const row = rows[index] as number;
          const concept = conceptOf(map, row);
          return (
            <tr
              key={concept.latent}
              ref={virtual.measure}
              data-index={index}
              class={row === sel ? "sel" : ""}
              aria-rowindex={index + 2}
              onPointerEnter={() => onPoint?.(row)}
              onFocusCapture={() => onPoint?.(row)}
              onBlurCapture={() => onPoint?.(null)}
            >
              <td class="name">
                <a href={address(`/concepts/${concept.latent}`)}>
                  <ConceptName of={concept} link={false} mark={false} />
                </a>
              </td>
              <td>
                <Mark trust={concept.trust} />
              </td>
              <td class="num">{count(map.document_frequency[row] as number)}</td>
              {places && (
                <>
                  <td class="num lo">{figure(map.x[row] as number, 2)}</td>
                  <td class="num lo">{figure(map.y[row] as number, 2)}</td>
                </>
              )}
            </tr>
          );
        })}
        {virtual.after > 0 && <Room columns={columns} height={virtual.after} />}
      </tbody>
    </table>
  );
}

function Room({ columns, height }: { columns: number; height: number }) {
  return (
    <tr class="room">
      <td colSpan={columns} style={{ height: `${height}px` }} />
    </tr>
  );
}
