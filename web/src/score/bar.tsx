/** A score as a bar: right by what adds, back by what takes away, and there stands the tick, at the score. */
import { figure, signed } from "../parts/figures";
import { calledSystem } from "../parts/systems";
import { net, sentence } from "./groups";
import { labelsOf } from "./labels";
import type { Drawn, Layout } from "./layout";
import { decimals, place, type Scale } from "./scale";
import { fillOf, hasEdge, inkOf } from "./swatch";

/** Heights of the lane that adds, of the gap, and of the lane that takes away. */
const WHOLE = { up: 22, gap: 3, back: 13, tick: 39 };
const SMALL = { up: 9, gap: 3, back: 3, tick: 16 };
const ARROW_FROM = 22;

export interface BarProps {
  layout: Layout;
  scale: Scale;
  /** Of the bar in pixels; 0 while it is not known: then nothing is written into it. */
  width?: number;
  /** The score without steering. */
  was?: number | null;
  /** Low and without names, for systems side by side. */
  small?: boolean;
  /** Concept that stands out. */
  selected?: number | null;
  /** Key of the part that the keyboard or the pointer is on. */
  at?: string | null;
  onAt?: (key: string | null) => void;
  onSelect?: (latent: number) => void;
}

export function Bar({ layout, scale, width = 0, was = null, small = false, selected, at, onAt, onSelect }: BarProps) {
  const size = small ? SMALL : WHOLE;
  const x = (value: number) => `${(100 * place(scale, value)).toFixed(4)}%`;
  const taken = layout.end - layout.score;
  const digits = decimals(scale);
  const line = (value: number, kind: string, from: number, to: number) => (
    <line class={kind} x1={x(value)} x2={x(value)} y1={from} y2={to} />
  );
  return (
    <svg
      class="bar"
      height={small ? 12 : 40}
      role="img"
      aria-label={sentence(layout.score, layout.accounts, digits)}
      onPointerLeave={() => onAt?.(null)}
    >
      {line(0, "zero", -3, size.tick - (small ? 5 : 0))}
      {layout.drawn.map((drawn) => (
        <Part
          key={drawn.piece.key + drawn.lane}
          drawn={drawn}
          size={size}
          place={[x(drawn.from), `${(100 * (place(scale, drawn.to) - place(scale, drawn.from))).toFixed(4)}%`]}
          labels={small || !width ? null : labelsOf(drawn, layout.score, scale, width)}
          on={drawn.piece.latent !== null && drawn.piece.latent === selected}
          at={at === drawn.piece.key}
          digits={digits}
          onAt={onAt}
          onSelect={onSelect}
        />
      ))}
      {!small && (place(scale, taken) - place(scale, 0)) * width > ARROW_FROM && (
        <svg class="arrow" x={x(layout.score)} y={size.up + size.gap} width="12" height={size.back} overflow="visible">
          <path d="M2.5 6.5l5-3.2v6.4z" />
        </svg>
      )}
      {!small && taken > 0 && line(layout.end, "drop", size.up, size.up + size.gap + size.back)}
      {was !== null && line(was, "was", -3, size.tick + 1)}
      {line(layout.score, "tick", -3, size.tick)}
    </svg>
  );
}

interface PartProps {
  drawn: Drawn;
  size: typeof WHOLE;
  place: [x: string, width: string];
  labels: ReturnType<typeof labelsOf> | null;
  on: boolean;
  at: boolean;
  digits: number;
  onAt: ((key: string | null) => void) | undefined;
  onSelect: ((latent: number) => void) | undefined;
}

function Part({ drawn, size, place: [x, width], labels, on, at, digits, onAt, onSelect }: PartProps) {
  const { piece, lane } = drawn;
  const height = lane === "adds" ? size.up : size.back;
  const latent = piece.latent;
  const text = (label: { text: string; middle: number | null }, kind: string) => (
    <text
      x={label.middle === null ? 7 : `${label.middle.toFixed(2)}%`}
      y={height / 2}
      text-anchor={label.middle === null ? "start" : "middle"}
      class={`${kind} ${inkOf(piece.kind, piece.slot)}${lane === "takes" ? " b" : ""}`}
    >
      {label.text}
    </text>
  );
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: the hit's arrow keys walk the parts, and the list of concepts selects
    <g
      class={`part${on ? " on" : ""}${at ? " at" : ""}${latent !== null && onSelect ? " can" : ""}`}
      onPointerEnter={() => onAt?.(piece.key)}
      onClick={() => latent !== null && onSelect?.(latent)}
    >
      <svg x={x} y={lane === "adds" ? 0 : size.up + size.gap} width={width} height={height}>
        {!onAt && <title>{`${piece.label}: ${signed(net(piece), digits)}`}</title>}
        <rect width="100%" height="100%" class={`${fillOf(piece.kind, piece.slot)} seg-r`} />
        {hasEdge(piece.kind) && <rect x=".5" y=".5" class="edge inner" height={height - 1} />}
        {at && <rect x="1" y="1" class="ring" height={height - 2} />}
        {labels?.name && text(labels.name, "n")}
        {labels?.letter && text(labels.letter, "k")}
      </svg>
    </g>
  );
}

/** Above the bar of a sum: what each system adds, and where it has the passage. */
export function Brackets({ layout, scale, width }: { layout: Layout; scale: Scale; width: number }) {
  const x = (value: number) => `${(100 * place(scale, value)).toFixed(3)}%`;
  const digits = decimals(scale);
  let free = -Infinity;
  return (
    <svg class="axis brackets" height="18" aria-hidden="true">
      {layout.brackets.map(({ account, from, to }, i) => {
        const rank = account.rank === null ? ", not among its hits" : `, rank ${account.rank}`;
        const said = `${calledSystem(account.system ?? "")} ${figure(account.value, digits)}${rank}`;
        // A label moves right if the one before it is longer than its bracket.
        const left = Math.max(place(scale, from) * width + (i ? 6 : 0), free);
        free = left + 5.9 * [...said].length + 10;
        return (
          <g key={account.system}>
            <line x1={x(from)} x2={x(to)} y1="15" y2="15" stroke-dasharray={i % 2 ? "2 2" : undefined} />
            <text x={left} y="8">
              {said}
            </text>
          </g>
        );
      })}
    </svg>
  );
}
