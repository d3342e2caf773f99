/** The map as a picture that is moved and drawn on. What it shows, others paint. */
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useKeys } from "../../keys";
import { boxOf } from "./box";
import { type Box, type Frame, fitted, pan, resized, toMap, toScreen, zoom } from "./frame";
import { type Gestured, Gestures, type Spot } from "./gestures";
import { onTheme, type Palette, palette } from "./palette";

export interface Tip {
  /** Where it stands, on the map. */
  x: number;
  y: number;
  says: ComponentChildren;
}

/** Draws what there is; true if it has more to draw. */
export type Paint = (context: CanvasRenderingContext2D, frame: Frame, colours: Palette, ratio: number) => boolean;

interface Props {
  /** All that may be seen. */
  bounds: Box;
  paint: Paint;
  label: string;
  box: Box | null;
  onBox: (box: Box | null, done: boolean) => void;
  /** Dragging draws a box also without Shift. */
  boxing: boolean;
  onPick: (frame: Frame, at: Spot) => void;
  tipAt: (frame: Frame, at: Spot) => Tip | null;
  /** What the table points out. */
  tip: Tip | null;
}

const STEP_PX = 60;
const CLOSER = 1.4;

export function MapCanvas(props: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const frame = useRef<Frame | null>(null);
  const latest = useRef(props);
  latest.current = props;
  const [hovered, hover] = useState<Tip | null>(null);
  const [, moved] = useState(0);
  const drawing = useRef(0);

  const draw = useRef(() => {
    cancelAnimationFrame(drawing.current);
    drawing.current = requestAnimationFrame(() => {
      if (canvas.current && frame.current && paintAll(canvas.current, frame.current, latest.current)) draw.current();
    });
  });
  const whole = () => fitted(props.bounds, frame.current?.width ?? 1, frame.current?.height ?? 1);
  const move = (to: Frame) => {
    frame.current = to;
    draw.current();
    hover(null);
    if (latest.current.tip) moved((n) => n + 1);
  };
  const by = (change: (frame: Frame) => Frame) => frame.current && move(change(frame.current));
  const middle = (factor: number) => by((f) => zoom(f, f.width / 2, f.height / 2, factor, whole()));
  const gestured: Gestured = {
    pan: (dx, dy) => by((f) => pan(f, dx, dy)),
    zoom: ([sx, sy], factor) => by((f) => zoom(f, sx, sy, factor, whole())),
    box: (from, to, done) =>
      frame.current && props.onBox(boxOf(toMap(frame.current, ...from), toMap(frame.current, ...to)), done),
    pick: (at) => frame.current && props.onPick(frame.current, at),
    hover: (at) => hover(at && frame.current && props.tipAt(frame.current, at)),
  };
  const told = useRef(gestured);
  told.current = gestured;
  const [gestures] = useState(() => new Gestures(() => told.current));

  useEffect(() => {
    const element = canvas.current;
    if (!element) return;
    const sized = new ResizeObserver(() => {
      const { clientWidth: width, clientHeight: height } = element;
      if (width === 0 || height === 0) return;
      frame.current = frame.current
        ? resized(frame.current, width, height)
        : fitted(latest.current.bounds, width, height);
      draw.current();
    });
    sized.observe(element);
    const wheel = (event: WheelEvent) => gestures.wheel(event);
    element.addEventListener("wheel", wheel, { passive: false }); // so that the page does not scroll meanwhile
    const themed = onTheme(() => draw.current());
    return () => {
      sized.disconnect();
      themed();
      element.removeEventListener("wheel", wheel);
      cancelAnimationFrame(drawing.current);
    };
  }, []);
  useEffect(() => draw.current(), [props.paint, props.box]);

  const all = () => by((f) => fitted(props.bounds, f.width, f.height));
  const arrows: Record<string, [number, number]> = {
    ArrowLeft: [STEP_PX, 0],
    ArrowRight: [-STEP_PX, 0],
    ArrowUp: [0, STEP_PX],
    ArrowDown: [0, -STEP_PX],
  };
  useKeys([
    { on: "+", shown: "+ −", does: "Closer, or further away", run: () => middle(CLOSER) },
    { on: "=", shown: "+ −", does: "Closer, or further away", run: () => middle(CLOSER) },
    { on: "-", shown: "+ −", does: "Closer, or further away", run: () => middle(1 / CLOSER) },
    { on: "0", shown: "0", does: "The whole map", run: () => all() },
    { on: "", shown: "← → ↑ ↓", does: "Move the map, where it has the focus", run: () => undefined },
  ]);
  const onKey = (event: KeyboardEvent) => {
    const step = arrows[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    by((f) => pan(f, ...step));
  };
  const tip = props.tip ?? hovered;
  const at = tip && frame.current && toScreen(frame.current, tip.x, tip.y);
  return (
    <div class="map-box">
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: arrow keys move the map, where it has the focus */}
      <div class="map-keys" tabIndex={0} role="application" aria-label={props.label} onKeyDown={onKey}>
        <canvas
          ref={canvas}
          class={props.boxing ? "map-canvas boxing" : "map-canvas"}
          onPointerDown={(event) => gestures.down(event, props.boxing)}
          onPointerMove={(event) => gestures.move(event)}
          onPointerUp={(event) => gestures.up(event)}
          onPointerCancel={(event) => gestures.up(event)}
          onPointerLeave={() => hover(null)}
        />
      </div>
      <span class="map-zoom">
        <button type="button" class="btn s" aria-label="Closer" onClick={() => middle(CLOSER)}>
          +
        </button>
        <button type="button" class="btn s" aria-label="Further away" onClick={() => middle(1 / CLOSER)}>
          −
        </button>
        <button type="button" class="btn s" onClick={all}>
          All
        </button>
      </span>
      {tip && at && frame.current && at[0] >= 0 && at[0] <= frame.current.width && at[1] >= 0 && (
        <div
          class="tip map-tip"
          style={{ left: `${Math.min(at[0] + 10, frame.current.width - 200)}px`, top: `${at[1] + 12}px` }}
        >
          {tip.says}
        </div>
      )}
    </div>
  );
}

function paintAll(canvas: HTMLCanvasElement, frame: Frame, { paint, box }: Props): boolean {
  const context = canvas.getContext("2d");
  if (!context) return false;
  const ratio = devicePixelRatio || 1;
  const [width, height] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
  if (canvas.width !== width || canvas.height !== height) [canvas.width, canvas.height] = [width, height];
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, frame.width, frame.height);
  const colours = palette();
  const more = paint(context, frame, colours, ratio);
  if (box) {
    const [left, top] = toScreen(frame, box.x0, box.y1);
    context.strokeStyle = colours.accent;
    context.lineWidth = 1.5;
    context.strokeRect(left, top, (box.x1 - box.x0) * frame.scale, (box.y1 - box.y0) * frame.scale);
  }
  return more;
}
