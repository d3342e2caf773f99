/** Queries by the difference of two systems; what is brushed is what is listed. */
import { useRef } from "preact/hooks";
import { counted, signed } from "../../parts/figures";
import { type Brush, between, bins, counts, isWhole, moved, STEP, snapped, WHOLE } from "./brush";

const HEIGHT = 76;
const TOP = 14;

interface Props {
  differences: number[];
  brush: Brush;
  a: string;
  b: string;
  measure: string;
  /** `done` is false as long as the pointer is down. */
  onBrush: (brush: Brush, done: boolean) => void;
}

const percent = (value: number) => `${50 * (value + 1)}%`;

export function Histogram(props: Props) {
  const { differences, brush, onBrush } = props;
  const { wins, ties, losses } = counts(differences);
  return (
    <>
      <p class="hist-ends">
        <span>{counted(losses, "loss", "losses")}</span>
        <span class="mute">
          {counted(ties, "tie")}
          <span class="wide-t">, not drawn</span>
        </span>
        <span>{counted(wins, "win")}</span>
      </p>
      <Bars
        {...props}
        said={`${counted(wins, "win")}, ${counted(ties, "tie")}, ${counted(losses, "loss", "losses")}`}
      />
      <fieldset class="brush-ends">
        <legend class="vh">Queries by their difference</legend>
        <End
          label="from"
          value={brush.from}
          onChange={(from, done) => onBrush({ from: Math.min(from, brush.to), to: brush.to }, done)}
        />
        <End
          label="to"
          value={brush.to}
          onChange={(to, done) => onBrush({ from: brush.from, to: Math.max(to, brush.from) }, done)}
        />
      </fieldset>
    </>
  );
}

interface Drag {
  start: number;
  /** The brush that is moved as a whole; null while a new one is drawn. */
  whole: Brush | null;
  went: boolean;
}

function Bars({ differences, brush, a, b, measure, onBrush, said }: Props & { said: string }) {
  const drag = useRef<Drag | null>(null);
  const all = bins(differences);
  const most = Math.max(1, ...all.map((bin) => bin.n));
  const valueAt = (event: PointerEvent) => {
    const box = (event.currentTarget as Element).getBoundingClientRect();
    return (2 * (event.clientX - box.left)) / box.width - 1;
  };
  const brushAt = (event: PointerEvent, { start, whole }: Drag): Brush =>
    whole ? moved(whole, snapped(valueAt(event) - start)) : between(snapped(start), snapped(valueAt(event)));
  const down = (event: PointerEvent) => {
    if (event.button !== 0) return;
    (event.currentTarget as Element).setPointerCapture(event.pointerId);
    const start = valueAt(event);
    const inside = !isWhole(brush) && start > brush.from && start < brush.to;
    drag.current = { start, whole: inside ? brush : null, went: false };
  };
  const move = (event: PointerEvent) => {
    const now = drag.current;
    if (!now || (!now.went && Math.abs(valueAt(event) - now.start) < STEP / 2)) return;
    now.went = true;
    onBrush(brushAt(event, now), false);
  };
  const up = (event: PointerEvent) => {
    const now = drag.current;
    drag.current = null;
    if (now) onBrush(now.went ? brushAt(event, now) : WHOLE, true);
  };
  return (
    <svg
      class="hist brushed"
      role="img"
      aria-label={`Differences of ${measure} between ${a} and ${b}: ${said}`}
      onPointerDown={down}
      onPointerMove={move}
      onPointerUp={up}
    >
      {!isWhole(brush) && (
        <rect
          class="brush"
          x={percent(brush.from)}
          width={`${50 * (brush.to - brush.from)}%`}
          y="0"
          height={HEIGHT + TOP}
        />
      )}
      {all.map((bin) => (
        <rect
          key={bin.from}
          class={bin.from < 0 ? "f2" : "f1"}
          x={`${50 * (bin.from + 1) + 0.2}%`}
          width={`${50 * STEP - 0.4}%`}
          y={TOP + HEIGHT - (HEIGHT * bin.n) / most}
          height={(HEIGHT * bin.n) / most}
        >
          {bin.n > 0 && (
            <title>{`${counted(bin.n, "query", "queries")}, ${signed(bin.from, 2)} to ${signed(bin.to, 2)}`}</title>
          )}
        </rect>
      ))}
      <line class="ax" x1="0" x2="100%" y1={TOP + HEIGHT} y2={TOP + HEIGHT} />
      <line class="ax" x1="50%" x2="50%" y1={TOP} y2={TOP + HEIGHT} />
      {[-1, -0.5, 0, 0.5, 1].map((at) => (
        <text
          key={at}
          x={percent(at)}
          y={TOP + HEIGHT + 16}
          text-anchor={at === -1 ? "start" : at === 1 ? "end" : "middle"}
        >
          {at === 0 ? "0" : signed(at, Number.isInteger(at) ? 0 : 1)}
        </text>
      ))}
    </svg>
  );
}

function End(props: { label: string; value: number; onChange: (value: number, done: boolean) => void }) {
  const value = (event: Event) => Number((event.currentTarget as HTMLInputElement).value);
  return (
    <label class="small mute">
      <span>{props.label}</span>
      <input
        type="range"
        class="slider"
        min={-1}
        max={1}
        step={STEP}
        value={props.value}
        aria-valuetext={signed(props.value, 2)}
        onInput={(event) => props.onChange(value(event), false)}
        onChange={(event) => props.onChange(value(event), true)}
      />
      <span class="num">{signed(props.value, 2)}</span>
    </label>
  );
}
