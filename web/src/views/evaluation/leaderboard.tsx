/** Systems and measures. Two systems are chosen to be looked at query by query. */
import type { Shape } from "../../api/client";
import { count, figure, signed } from "../../parts/figures";
import { best, ranked, type State } from "./state";
import { VERDICTS } from "./words";

type Board = Shape<"Leaderboard">;

interface Props {
  board: Board;
  state: State;
  /** What is sure of each system; undefined until it has been worked out. */
  verdicts: Shape<"Verdicts"> | undefined;
  onChoose: (of: "a" | "b", system: string) => void;
  onMeasure: (measure: string) => void;
}

export function Leaderboard({ board, state, verdicts, onChoose, onMeasure }: Props) {
  const rows = ranked(board, state.measure);
  const bytes = best(
    rows.map((row) => row.bytes_per_passage),
    "lowest",
  );
  const ms = best(
    rows.map((row) => row.ms_per_query),
    "lowest",
  );
  const notes = rows.some((row) => row.note);
  const sure = new Map(verdicts?.rows.map((one) => [one.system, one]));
  const base = rows.find((row) => row.system === verdicts?.baseline)?.measures[state.measure];
  return (
    <table class="grid board">
      <caption class="vh">Systems and what was measured of each; choose two of them to compare</caption>
      <thead>
        <tr>
          <th class="pick">
            <abbr title="The first of the two that are compared">A</abbr>
          </th>
          <th class="pick">
            <abbr title="The second, which it is compared with">B</abbr>
          </th>
          <th>System</th>
          {board.measures.map((measure) => (
            <th
              key={measure}
              class={measure === state.measure ? "num" : "num lo"}
              aria-sort={measure === state.measure ? "descending" : "none"}
            >
              <button type="button" onClick={() => onMeasure(measure)}>
                {measure}
                {measure === state.measure && <span aria-hidden="true"> ↓</span>}
              </button>
            </th>
          ))}
          <th class="lo dots">
            <Axis />
          </th>
          {verdicts && (
            <>
              <th class="num">
                Against <bdi>{verdicts.baseline}</bdi>
              </th>
              <th class="num lo md">Interval</th>
              <th class="lo">Verdict</th>
              <th class="num lo hi">Wins / ties / losses</th>
            </>
          )}
          <th class="num lo">Bytes a passage</th>
          <th class="num lo">ms a query</th>
          {notes && <th class="lo md">Note</th>}
        </tr>
      </thead>
      <tbody>
        {rows.map((row) => (
          <tr key={row.system} class={row.system === state.a || row.system === state.b ? "sel" : ""}>
            <Pick of="a" row={row.system} chosen={state.a} onChoose={onChoose} />
            <Pick of="b" row={row.system} chosen={state.b} onChoose={onChoose} />
            <td class="system">
              <bdi>{row.system}</bdi>
            </td>
            {board.measures.map((measure) => (
              <td key={measure} class={measure === state.measure ? "num" : "num lo"}>
                <Value
                  value={row.measures[measure]}
                  best={best(
                    rows.map((one) => one.measures[measure]),
                    "highest",
                  )}
                />
              </td>
            ))}
            <td class="lo dots">
              <Dot value={row.measures[state.measure]} sure={sure.get(row.system)} base={base} />
            </td>
            {verdicts && <Against of={sure.get(row.system)} />}
            <td class="num lo">
              <Value value={row.bytes_per_passage} best={bytes} digits={0} />
            </td>
            <td class="num lo">
              <Value value={row.ms_per_query} best={ms} digits={2} />
            </td>
            {notes && <td class="lo md small mute">{row.note}</td>}
          </tr>
        ))}
      </tbody>
    </table>
  );
}

interface PickProps {
  of: "a" | "b";
  row: string;
  chosen: string;
  onChoose: Props["onChoose"];
}

function Pick({ of, row, chosen, onChoose }: PickProps) {
  const said = of === "a" ? `Compare ${row}` : `Compare with ${row}`;
  return (
    <td class="pick">
      <label>
        <input type="radio" name={`system-${of}`} checked={row === chosen} onChange={() => onChoose(of, row)} />
        <span class="vh">{said}</span>
      </label>
    </td>
  );
}

function Value(props: { value: number | null | undefined; best: number | undefined; digits?: number }) {
  const { value, digits = 3 } = props;
  if (value === null || value === undefined) return <span class="faint">–</span>;
  const shown = digits === 0 ? Math.round(value).toLocaleString("en") : figure(value, digits);
  if (value !== props.best) return <>{shown}</>;
  return (
    <b>
      {shown}
      <span class="vh"> (best)</span>
    </b>
  );
}

/** Measures run from 0 to 1, and so does the axis: what looks close is close. */
function Axis() {
  return (
    <>
      <span class="vh">The same on a line</span>
      <svg class="axis" aria-hidden="true">
        {[0, 0.25, 0.5, 0.75, 1].map((at) => (
          <text key={at} x={`${100 * at}%`} y="13" text-anchor={at === 0 ? "start" : at === 1 ? "end" : "middle"}>
            {at}
          </text>
        ))}
      </svg>
    </>
  );
}

/** A system less the baseline: by how much, how surely, and on how many queries. */
function Against({ of }: { of: Shape<"Verdict"> | undefined }) {
  const against = of?.against;
  if (!against)
    return (
      <>
        <td class="num faint">{of ? "base" : "–"}</td>
        <td class="lo md" />
        <td class="lo" />
        <td class="lo hi" />
      </>
    );
  const { sign, said } = VERDICTS[against.verdict];
  return (
    <>
      <td class="num">{signed(against.difference)}</td>
      <td class="num lo md faint">
        {signed(against.low)} to {signed(against.high)}
      </td>
      <td class="lo">
        <span aria-hidden="true">{sign}</span> {said}
      </td>
      <td class="num lo hi small mute">{[against.wins, against.ties, against.losses].map(count).join(" / ")}</td>
    </>
  );
}

interface DotProps {
  value: number | undefined;
  sure: Shape<"Verdict"> | undefined;
  base: number | undefined;
}

/** A mean, with its interval, and where the baseline's is. */
function Dot({ value, sure, base }: DotProps) {
  if (value === undefined) return null;
  return (
    <svg class="dot-line" aria-hidden="true">
      <line x1="0" x2="100%" y1="9" y2="9" />
      {base !== undefined && <line class="base" x1={`${100 * base}%`} x2={`${100 * base}%`} y1="0" y2="18" />}
      {sure && <line class="interval" x1={`${100 * sure.low}%`} x2={`${100 * sure.high}%`} y1="9" y2="9" />}
      <circle cx={`${100 * value}%`} cy="9" r="4" />
    </svg>
  );
}
