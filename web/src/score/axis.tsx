/** The numbers above the bars of a result: one scale for all of them. */
import { decimals, place, type Scale, ticks } from "./scale";

export function Axis({ scale, bars }: { scale: Scale; bars?: (element: SVGSVGElement | null) => void }) {
  const numbers = ticks(scale);
  return (
    <svg class="axis" height="20" aria-hidden="true" ref={bars ?? null}>
      {numbers.map((value) => {
        const at = place(scale, value);
        const anchor = at < 0.001 ? "start" : at > 0.999 ? "end" : "middle";
        return (
          <g key={value}>
            <line x1={`${100 * at}%`} x2={`${100 * at}%`} y1="15" y2="20" />
            <text x={`${100 * at}%`} y="11" text-anchor={anchor}>
              {shown(value, decimals(scale))}
            </text>
          </g>
        );
      })}
    </svg>
  );
}

function shown(value: number, digits: number): string {
  return String(Number(value.toFixed(digits))).replace("-", "−");
}
