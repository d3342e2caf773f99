/** The map: where concepts and passages stand to each other, as a picture with a table, or as a table alone. */
import { useEffect, useMemo, useState } from "preact/hooks";
import { address, changed, go, useAddress } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { useKeys } from "../../keys";
import { CopyAs, python, quoted } from "../../parts/copy";
import { BeginJob } from "../../parts/job";
import { Blank, Failed } from "../../parts/states";
import { useProject } from "../../project";
import { ConceptsLayer, DRAWS } from "./concepts";
import { boundsOf } from "./frame";
import { PassagesLayer } from "./passages";
import { conceptsIn, type Layer, shownConcepts, stateOf } from "./state";
import { ConceptTable } from "./table";
import { Tools } from "./tools";

export function MapView() {
  const map = useLoaded("map", (signal) => asked(api.GET("/api/map/concepts", { signal })));
  useEffect(() => {
    document.title = "Map · unweave";
  }, []);
  if (map.data) return <Shown map={map.data} />;
  if (map.error)
    return map.error.status === 409 ? (
      <NotMade said={map.error.message} onDone={map.reload} />
    ) : (
      <>
        <h1>Map</h1>
        <Failed error={map.error} onRetry={map.reload} />
      </>
    );
  return (
    <>
      <h1>Map</h1>
      {map.slow && <span class="sk map-sk" aria-hidden="true" />}
    </>
  );
}

function NotMade({ said, onDone }: { said: string; onDone: () => void }) {
  return (
    <Blank title="No map yet">
      <p>A map places concepts of like directions near each other, and each passage among its concepts.</p>
      <p>{said}</p>
      <p>
        <BeginJob kind="map" label="Make the map" onDone={onDone} />
      </p>
    </Blank>
  );
}

function Shown({ map }: { map: Shape<"ConceptMap"> }) {
  const { params } = useAddress();
  const key = params.toString();
  const state = useMemo(() => stateOf(params), [key]);
  const [boxing, box] = useState(false);
  const bounds = useMemo(() => boundsOf(map.x, map.y), [map]);
  const rows = useMemo(() => shownConcepts(map, state.marks, state.words), [map, state]);
  const table = state.table || !DRAWS;
  const inside = useMemo(() => (table ? conceptsIn(map, rows, state.box) : []), [map, rows, state, table]);
  useKeys([
    { on: "Escape", shown: "Esc", does: "Clear the box, then the selection", run: () => clear(state.box !== null) },
  ]);
  const sel = state.sel === null ? -1 : map.latent.indexOf(state.sel);
  return (
    <>
      <Head layer={state.layer} table={table} />
      {!DRAWS && (
        <div class="strip">
          <span>
            <b>This browser cannot draw the map.</b> The table below holds the same concepts; a box is given in numbers.
          </span>
        </div>
      )}
      <Tools state={state} bounds={bounds} draws={!table} boxing={boxing} onBoxing={box} />
      {table && <ConceptTable map={map} rows={inside} of={rows.length} state={state} sel={sel} />}
      {!table && state.layer === "concepts" && <ConceptsLayer map={map} rows={rows} state={state} boxing={boxing} />}
      {!table && state.layer === "passages" && <PassagesLayer map={map} rows={rows} state={state} boxing={boxing} />}
    </>
  );
}

function clear(box: boolean): void {
  go(changed(box ? { box: null } : { sel: null }));
}

function Head({ layer, table }: { layer: Layer; table: boolean }) {
  const path = useProject().data?.path ?? "PROJECT";
  const link = (to: Layer, words: string) => (
    <button
      type="button"
      aria-pressed={layer === to}
      onClick={() => go(changed({ layer: to === "concepts" ? null : to, box: null }))}
    >
      {words}
    </button>
  );
  return (
    <div class="map-head">
      <h1>Map</h1>
      {!table && (
        // biome-ignore lint/a11y/useSemanticElements: a group of two buttons is no fieldset of a form
        <span class="seg" role="group" aria-label="Map of">
          {link("concepts", "Concepts")}
          {link("passages", "Passages")}
        </span>
      )}
      <span class="mute">
        {layer === "concepts"
          ? "Near means of like directions; how far apart two groups are means little."
          : "Each passage stands at the mean of its concepts."}
      </span>
      <span class="r">
        <CopyAs
          narrow={false}
          of={{
            command: `unweave export atlas ${quoted(path)} atlas.parquet`,
            python: `import unweave as uw\nuw.Project.open(${python(path)}).map()`,
            json: layer === "concepts" ? "/api/map/concepts" : address("/api/map/passages"),
          }}
        />
        <button
          type="button"
          class="btn s"
          aria-pressed={table}
          disabled={!DRAWS}
          onClick={() => go(changed({ view: table ? null : "table" }))}
        >
          Show as a table
        </button>
      </span>
    </div>
  );
}
