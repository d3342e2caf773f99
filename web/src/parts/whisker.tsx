/** A share with its interval: a dot and a whisker, on a line from 0 to 1 with a tick at chance. */
import { whisker } from "./scale";

export function Whisker(props: { value: number; low: number; high: number; chance?: number }) {
  const { line, low, high, dot, chance } = whisker(props, 120, 3);
  return (
    <svg class="whisker" width="120" height="12" aria-hidden="true">
      <line class="all" x1={line[0]} x2={line[1]} y1="6" y2="6" />
      {chance !== null && <line class="chance" x1={chance} x2={chance} y1="2" y2="10" />}
      <line class="interval" x1={low} x2={high} y1="6" y2="6" />
      <circle cx={dot} cy="6" r="3" />
    </svg>
  );
}
