/** A concept's activations in the height of a line of text: grey below where its name holds, a line there. */
import { bars, equal } from "./scale";

const [WIDTH, HEIGHT] = [96, 20];

export function Spark({ counts, holds, strongest }: { counts: number[]; holds: number | null; strongest: number }) {
  if (!counts.some((n) => n > 0) || !(strongest > 0)) return null;
  const shape = { width: WIDTH, height: HEIGHT, gap: 1, least: 1, root: true };
  const line = holds === null ? null : Math.min(WIDTH - 0.5, Math.max(0.5, (holds / strongest) * WIDTH));
  return (
    <svg class="spark" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} aria-hidden="true">
      {bars(equal(counts.length, strongest), counts, holds, shape).map((bar) => (
        <rect
          key={bar.x}
          x={bar.x}
          y={bar.y}
          width={bar.width}
          height={bar.height}
          class={bar.over ? "over" : undefined}
        />
      ))}
      {line !== null && <line x1={line} x2={line} y1="0" y2={HEIGHT} />}
    </svg>
  );
}
