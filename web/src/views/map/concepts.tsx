/** The layer of concepts: its picture, and the table beside it. */
import { useMemo, useRef, useState } from "preact/hooks";
import { changed, go } from "../../address";
import type { Shape } from "../../api/client";
import { counted } from "../../parts/figures";
import { writeBox } from "./box";
import { MapCanvas, type Paint } from "./canvas";
import { type Box, boundsOf, nearest } from "./frame";
import { tipOf } from "./named";
import { drawConcepts, Shapes } from "./points";
import { conceptsIn, type State } from "./state";
import { ConceptTable } from "./table";

type Concepts = Shape<"ConceptMap">;

/** Pixels from a point within which the pointer is on it. */
export const NEAR_PX = 12;

interface Props {
  map: Concepts;
  rows: number[];
  state: State;
  boxing: boolean;
}

/** Whether a canvas can be drawn on at all; where not, the table is all there is. */
export const DRAWS = document.createElement("canvas").getContext("2d") !== null;

/** A box is drawn in place, and kept as an entry of the history when it is let go. */
export function useBox(): (box: Box | null, done: boolean) => void {
  const drawing = useRef(false);
  return (box, done) => {
    go(changed({ box: box && writeBox(box) }), drawing.current ? "replace" : "push");
    drawing.current = !done;
  };
}

export function shapesFor(kept: { current: [number, Shapes] | null }, ratio: number): Shapes {
  if (kept.current?.[0] !== ratio) kept.current = [ratio, new Shapes(ratio)];
  return kept.current[1];
}

export function ConceptsLayer({ map, rows, state, boxing }: Props) {
  const [pointed, point] = useState<number | null>(null);
  const onBox = useBox();
  const shapes = useRef<[number, Shapes] | null>(null);
  const bounds = useMemo(() => boundsOf(map.x, map.y), [map]);
  const inside = useMemo(() => conceptsIn(map, rows, state.box), [map, rows, state.box]);
  const sel = useMemo(() => (state.sel === null ? -1 : map.latent.indexOf(state.sel)), [map, state.sel]);
  const paint = useMemo(() => {
    const picked = state.box ? new Set(inside) : null;
    return (...[context, frame, colours, ratio]: Parameters<Paint>) => {
      drawConcepts(context, frame, {
        map,
        rows,
        picked: (row) => picked?.has(row) ?? false,
        spot: pointed ?? (sel < 0 ? null : sel),
        shapes: shapesFor(shapes, ratio),
        colours,
        points: true,
      });
      return false;
    };
  }, [map, rows, inside, sel, pointed]);
  const said = state.box ? `${counted(inside.length, "concept")} in the box` : counted(rows.length, "concept");
  return (
    <div class="two map-two">
      <MapCanvas
        bounds={bounds}
        paint={paint}
        label={`Map of concepts: ${said}, listed in the table beside it`}
        box={state.box}
        onBox={onBox}
        boxing={boxing}
        onPick={(frame, at) => {
          const row = nearest(frame, map.x, map.y, rows, at, NEAR_PX);
          go(changed({ sel: row === null ? null : (map.latent[row] as number) }));
        }}
        tipAt={(frame, at) => {
          const row = nearest(frame, map.x, map.y, rows, at, NEAR_PX);
          return row === null ? null : tipOf(map, row);
        }}
        tip={pointed === null ? null : tipOf(map, pointed)}
      />
      <aside aria-label="Concepts of the map">
        <ConceptTable map={map} rows={inside} of={rows.length} state={state} sel={sel} onPoint={point} most={50} />
      </aside>
    </div>
  );
}
