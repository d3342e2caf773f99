/** Where marks of small pictures stand: bars of a histogram or a spark, ticks of an axis, a dot with its whisker. */

export interface Bar {
  x: number;
  y: number;
  width: number;
  height: number;
  /** From where the name holds. */
  over: boolean;
  bin: number;
}

interface Frame {
  width: number;
  height: number;
  /** Between bars; taken from their right. */
  gap: number;
  /** No bar that stands for something is lower. */
  least?: number;
  root?: boolean;
}

/**
 * Bars of the bins that hold something. A bin in which the name begins to hold is drawn as two: what is left of the
 * line, and what is right of it.
 */
export function bars(edges: number[], counts: number[], holds: number | null, frame: Frame): Bar[] {
  const top = edges.at(-1) ?? 1;
  const most = Math.max(1, ...counts);
  const x = (value: number) => (value / top) * frame.width;
  return counts.flatMap((count, bin) => {
    const [from, to] = [edges[bin] ?? 0, edges[bin + 1] ?? top];
    if (count === 0) return [];
    const part = frame.root ? Math.sqrt(count / most) : count / most;
    const height = Math.max(frame.least ?? 0, part * frame.height);
    const [left, right] = [x(from), Math.max(x(from), x(to) - frame.gap)];
    const bar = (start: number, end: number, over: boolean): Bar[] =>
      end > start ? [{ x: start, y: frame.height - height, width: end - start, height, over, bin }] : [];
    if (holds === null) return bar(left, right, false);
    const line = Math.min(right, Math.max(left, x(holds)));
    return [...bar(left, line, false), ...bar(line, right, true)];
  });
}

/** Edges of so many equal bins from 0 up. */
export function equal(n: number, top: number): number[] {
  return Array.from({ length: n + 1 }, (_, i) => (top * i) / n);
}

/** Round values along an axis from 0, four to eight of them. */
export function ticks(top: number): number[] {
  if (!(top > 0)) return [0];
  const power = 10 ** Math.floor(Math.log10(top / 4));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => top / one <= 6.5) ?? 10 * power;
  return Array.from({ length: Math.floor(top / step + 1e-6) + 1 }, (_, i) => Number((i * step).toPrecision(6)));
}

interface Interval {
  value: number;
  low: number;
  high: number;
  chance?: number;
}

/**
 * @param width of the picture.
 * @param radius of the dot; shares of 0 and 1 stand so far from the edges, so that their dots are whole.
 */
export function whisker(of: Interval, width: number, radius: number) {
  const x = (share: number) => radius + Math.min(1, Math.max(0, share)) * (width - 2 * radius);
  return {
    line: [x(0), x(1)] as const,
    low: x(Math.min(of.low, of.value)),
    high: x(Math.max(of.high, of.value)),
    dot: x(of.value),
    chance: of.chance === undefined ? null : x(of.chance),
  };
}
