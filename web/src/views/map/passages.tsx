/** The layer of passages: a density, the selected concept's passages on it, and those of the box by their titles. */
import type { RefObject } from "preact";
import { useMemo, useRef } from "preact/hooks";
import { address, changed, go } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { type Loaded, useLoaded } from "../../api/use";
import { count, counted, figure } from "../../parts/figures";
import { ConceptName } from "../../parts/name";
import { Failed, Lines } from "../../parts/states";
import { inBox } from "./box";
import { MapCanvas, type Paint } from "./canvas";
import { Cloud } from "./cloud";
import { NEAR_PX, shapesFor, useBox } from "./concepts";
import { boundsOf, type Frame, nearest, toScreen } from "./frame";
import { conceptOf, tipOf } from "./named";
import { drawConcepts, type Shapes } from "./points";
import type { State } from "./state";

type Concepts = Shape<"ConceptMap">;

const MOST = 1_000_000;
/** Passages whose titles are shown. */
const LISTED = 100;
const OF_CONCEPT = 50;

interface Places {
  position: number[];
  x: Float32Array;
  y: Float32Array;
  total: number;
}

/** Passages of the corpus, or of a concept; in the numbers that a canvas reads fastest. */
function usePlaces(latent: number | null, wanted: boolean): Loaded<Places> {
  return useLoaded<Places>(wanted ? `places ${latent}` : null, async (signal) => {
    const query = latent === null ? { most: MOST } : { most: MOST, latent };
    const found = await asked(api.GET("/api/map/passages", { params: { query }, signal }));
    return { ...found, x: Float32Array.from(found.x), y: Float32Array.from(found.y) };
  });
}

interface Props {
  map: Concepts;
  rows: number[];
  state: State;
  boxing: boolean;
}

export function PassagesLayer({ map, rows, state, boxing }: Props) {
  const all = usePlaces(null, true);
  const of = usePlaces(state.sel, state.sel !== null);
  const shapes = useRef<[number, Shapes] | null>(null);
  const onBox = useBox();
  const places = all.data;
  const bounds = useMemo(() => places && boundsOf(places.x, places.y), [places]);
  const inside = useMemo(
    () => (places && state.box ? inBox(state.box, places.x, places.y, LISTED) : null),
    [places, state.box],
  );
  const mine = state.sel === null ? undefined : of.data;
  const paint = usePaint(places, mine, map, rows, state.sel, shapes);
  if (all.error) return <Failed error={all.error} onRetry={all.reload} />;
  if (!places || !bounds) return all.slow ? <Lines n={12} height={24} /> : null;
  const sel = state.sel === null ? -1 : map.latent.indexOf(state.sel);
  return (
    <div class="two map-two">
      <MapCanvas
        bounds={bounds}
        paint={paint}
        label={`Map of ${counted(places.x.length, "passage")}; names of concepts stand where their passages are`}
        box={state.box}
        onBox={onBox}
        boxing={boxing}
        onPick={(frame, at) => {
          const row = nearest(frame, map.x, map.y, rows, at, 2 * NEAR_PX);
          go(changed({ sel: row === null ? null : (map.latent[row] as number) }));
        }}
        tipAt={(frame, at) => {
          const row = nearest(frame, map.x, map.y, rows, at, NEAR_PX);
          return row === null ? null : tipOf(map, row);
        }}
        tip={null}
      />
      <aside aria-label="Passages of the map">
        <p class="mute map-count">
          <b>{count(places.x.length)}</b>
          {places.total > places.x.length ? ` of ${count(places.total)} passages, drawn evenly` : " passages"}: the
          fuller the tone, the more.
        </p>
        {sel >= 0 && <OfConcept map={map} row={sel} drawn={mine?.x.length} />}
        {inside && <InBox positions={inside.first.map((i) => places.position[i] as number)} n={inside.n} />}
        {sel < 0 && !inside && (
          <p class="mute">Select a concept by its name on the map, or draw a box, to see passages by their titles.</p>
        )}
      </aside>
    </div>
  );
}

function usePaint(
  places: Places | undefined,
  mine: Places | undefined,
  map: Concepts,
  rows: number[],
  selected: number | null,
  shapes: RefObject<[number, Shapes] | null>,
): Paint {
  const cloud = useMemo(() => places && new Cloud(places.x, places.y), [places]);
  const own = useMemo(() => mine && new Cloud(mine.x, mine.y), [mine]);
  return useMemo<Paint>(() => {
    const spot = selected === null ? -1 : map.latent.indexOf(selected);
    return (context, frame, colours, ratio) => {
      context.globalAlpha = selected === null ? 1 : 0.45;
      const more = cloud?.draw(context, frame, colours.cloud) ?? false;
      context.globalAlpha = 1;
      const moreOwn = (mine && own && drawOwn(context, frame, mine, own, colours.accent)) ?? false;
      drawConcepts(context, frame, {
        map,
        rows,
        picked: () => false,
        spot: spot < 0 ? null : spot,
        shapes: shapesFor(shapes, ratio),
        colours,
        points: false,
      });
      return more || moreOwn;
    };
  }, [cloud, own, map, rows, selected]);
}

/** Passages of one concept: a ring each as long as they are few, so that they are told from the others by shape too. */
function drawOwn(context: CanvasRenderingContext2D, frame: Frame, mine: Places, cloud: Cloud, colour: string): boolean {
  if (mine.x.length > 5_000) return cloud.draw(context, frame, colour);
  context.strokeStyle = colour;
  context.lineWidth = 1.5;
  context.beginPath();
  for (let i = 0; i < mine.x.length; i++) {
    const [x, y] = toScreen(frame, mine.x[i] as number, mine.y[i] as number);
    context.moveTo(x + 3, y);
    context.arc(x, y, 3, 0, 2 * Math.PI);
  }
  context.stroke();
  return false;
}

function OfConcept({ map, row, drawn }: { map: Concepts; row: number; drawn: number | undefined }) {
  const concept = conceptOf(map, row);
  const { latent } = concept;
  const found = useLoaded(`passages of ${latent}`, (signal) =>
    asked(
      api.GET("/api/concepts/{latent}/passages", {
        params: { path: { latent }, query: { limit: OF_CONCEPT } },
        signal,
      }),
    ),
  );
  return (
    <section class="block">
      <header>
        <h2>
          <ConceptName of={concept} />
        </h2>
        <a class="btn quiet s r" href={changed({ sel: null })}>
          Clear
        </a>
      </header>
      {drawn !== undefined && <p class="small mute">{counted(drawn, "passage")} of it, ringed on the map.</p>}
      {found.error && <Failed error={found.error} onRetry={found.reload} />}
      {found.data && (
        <table class="grid">
          <caption class="vh">The passages that activate it most</caption>
          <thead>
            <tr>
              <th>Passage</th>
              <th class="num">Activation</th>
            </tr>
          </thead>
          <tbody>
            {found.data.rows.map((passage) => (
              <tr key={passage.passage_id}>
                <PassageCell passage={passage} />
                <td class="num">{figure(passage.activation)}</td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function InBox({ positions, n }: { positions: number[]; n: number }) {
  const names = useLoaded(positions.length > 0 ? positions.join(" ") : null, (signal) =>
    asked(api.GET("/api/map/names", { params: { query: { at: positions } }, signal })),
  );
  return (
    <section class="block">
      <header>
        <h2>In the box</h2>
        <a class="btn quiet s r" href={changed({ box: null })}>
          Clear
        </a>
      </header>
      <p class="small mute" role="status">
        {counted(n, "passage")}
        {n > positions.length && `, the first ${positions.length} of them:`}
      </p>
      {names.error && <Failed error={names.error} />}
      {positions.length > 0 && names.data && (
        <table class={names.loading ? "grid old" : "grid"}>
          <caption class="vh">Passages of the box</caption>
          <tbody>
            {names.data.rows.map((passage) => (
              <tr key={passage.passage_id}>
                <PassageCell passage={passage} />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </section>
  );
}

function PassageCell({ passage }: { passage: { passage_id: string; title: string; text: string } }) {
  const name = passage.title || passage.text || passage.passage_id;
  return (
    <td class="name" title={passage.text}>
      <a href={address("/passage", { id: passage.passage_id })}>
        <bdi>{name}</bdi>
      </a>
    </td>
  );
}
