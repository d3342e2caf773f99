/** One query by several systems, side by side: what each finds first, and what they share. */
import { useState } from "preact/hooks";
import { address, changed, go, useAddress } from "../../address";
import { api, asked, type Refused, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { CopyAs, type Copyable, python, quoted } from "../../parts/copy";
import { figure } from "../../parts/figures";
import { Failed, Lines } from "../../parts/states";
import { calledSystem } from "../../parts/systems";
import { type ProjectInfo, useProject } from "../../project";
import { Bar } from "../../score/bar";
import { accountsOf, type Slots } from "../../score/groups";
import { type Layout, layoutOf } from "../../score/layout";
import { decimals, type Scale, scaleOf } from "../../score/scale";
import { keptSlots, NO_SLOTS } from "../../score/slots";
import { type Column, chosen, elsewhere, ranks, shared } from "./overlap";
import { offered } from "./sums";

const HITS = 10;
/** Characters of a passage without a title that stand for one. */
const BEGINNING = 80;

type Result = Shape<"SearchResult">;
/** A system that fails leaves the others standing. */
type Answer = { result: Result } | { error: Refused };

export interface SideBySideProps {
  query: string;
  /** A system was chosen: search on with it alone. */
  onPick?: (system: string) => void;
}

export function SideBySide({ query, onPick }: SideBySideProps) {
  const { data: project } = useProject();
  const { params } = useAddress();
  const systems = chosen(params.get("systems"), project?.systems ?? []);
  const key = project && query ? JSON.stringify([query, systems]) : null;
  const { data, loading, slow } = useLoaded(key, (signal) => searchAll(query, systems, signal));
  const [at, setAt] = useState<string | null>(null);
  const choose = (place: number, system: string) => {
    const others = systems.map((old, i) => (i === place ? system : old === system ? (systems[place] as string) : old));
    go(changed({ systems: others.join(",") }));
  };
  if (!project || !data) return slow ? <Lines n={10} /> : null;
  const results = data.map((answer) => ("result" in answer ? answer.result : null));
  const columns: Column[] = results.map((result, i) => ({
    system: systems[i] ?? "",
    ids: result?.hits.map((hit) => hit.passage_id) ?? [],
  }));
  // Column by column, for their scores have scales of their own.
  const slots = results.reduce(
    (_, result) => keptSlots(query, result?.hits.flatMap((hit) => hit.explanation ?? []) ?? []),
    NO_SLOTS,
  );
  return (
    <div aria-busy={loading} class={loading ? "dimmed" : ""}>
      <div class="sum-line">
        <Where at={at} columns={columns} results={results} />
        <CopyAs of={copyable(query, systems, project)} />
      </div>
      <div class="cols">
        {data.map((answer, i) => (
          <section key={systems[i]} aria-label={systems[i]}>
            <Head
              system={systems[i] as string}
              systems={project.systems}
              said={i === 0 ? "the others are compared with it" : overlap(columns[i], columns[0])}
              onChoose={(system) => choose(i, system)}
              onPick={onPick && (() => onPick(systems[i] as string))}
            />
            {"error" in answer ? (
              <Failed error={answer.error} />
            ) : (
              <Hits
                result={answer.result}
                columns={columns}
                slots={slots}
                at={at}
                onAt={setAt}
                to={(id) => address("/passage", { id, q: query, system: systems[i] })}
              />
            )}
          </section>
        ))}
      </div>
    </div>
  );
}

async function searchAll(q: string, systems: string[], signal: AbortSignal): Promise<Answer[]> {
  const one = async (system: string): Promise<Answer> => {
    const query = { q, system, k: HITS };
    try {
      return { result: await asked(api.GET("/api/search", { params: { query }, signal })) };
    } catch (error) {
      if (signal.aborted) throw error;
      return { error: error as Refused };
    }
  };
  return Promise.all(systems.map(one));
}

function copyable(query: string, systems: string[], project: ProjectInfo): Copyable {
  const commands = systems.map((system) =>
    ["unweave", "search", project.path, query, "--system", system, "--explain"].map(quoted).join(" "),
  );
  return {
    command: commands.join("\n"),
    python: [
      "import unweave as uw",
      `project = uw.Project.open(${python(project.path)})`,
      `found = {system: project.search(${python(query)}, system=system, explain=True) for system in ${python(systems)}}`,
    ].join("\n"),
    json: `/api/search?${new URLSearchParams({ q: query, system: systems[0] ?? "dense" })}`,
  };
}

function overlap(mine: Column | undefined, first: Column | undefined): string {
  if (!mine || !first || mine.ids.length === 0) return "";
  return `${shared(mine.ids, first.ids)} of ${mine.ids.length} shared with ${first.system}`;
}

/** Where each system has the passage that the pointer or the focus is on. */
function Where({ at, columns, results }: { at: string | null; columns: Column[]; results: (Result | null)[] }) {
  const hit = results.flatMap((result) => result?.hits ?? []).find((one) => one.passage_id === at);
  if (!hit)
    return (
      <span>
        The same query in {columns.length} systems, each with its own scale. Go to a passage to see it in all.
      </span>
    );
  const stands = ranks(hit.passage_id, columns).map(
    (rank, i) => `${rank ?? "not in the first ten"} by ${columns[i]?.system}`,
  );
  return (
    <span>
      <b>
        <bdi>{titled(hit)}</bdi>
      </b>
      : rank {stands.join(", ")}.
    </span>
  );
}

function titled(hit: Shape<"Hit">): string {
  return hit.title || (hit.text.length > BEGINNING ? `${hit.text.slice(0, BEGINNING)}…` : hit.text) || hit.passage_id;
}

interface HeadProps {
  system: string;
  systems: string[];
  said: string;
  onChoose: (system: string) => void;
  onPick?: (() => void) | undefined;
}

function Head({ system, systems, said, onChoose, onPick }: HeadProps) {
  return (
    <div class="cols-head">
      <h2>
        <label>
          <span class="vh">System of this column</span>
          <select class="field s cols-menu" value={system} onChange={(event) => onChoose(event.currentTarget.value)}>
            {offered(systems, system).map((name) => (
              <option key={name} value={name}>
                {calledSystem(name)}
              </option>
            ))}
          </select>
        </label>
      </h2>
      {onPick && (
        <button class="btn quiet s" type="button" title={`Search with ${calledSystem(system)} alone`} onClick={onPick}>
          Open
        </button>
      )}
      <p class="small faint">{said}</p>
    </div>
  );
}

interface HitsProps {
  result: Result;
  columns: Column[];
  slots: Slots;
  at: string | null;
  onAt: (id: string | null) => void;
  to: (id: string) => string;
}

function Hits({ result, columns, slots, at, onAt, to }: HitsProps) {
  if (result.hits.length === 0) return <p class="mute cols-none">It finds nothing.</p>;
  const layouts = result.hits.map((hit) =>
    hit.explanation ? layoutOf(accountsOf(hit.explanation, slots, result.query)) : null,
  );
  const scale = scaleOf(
    layouts.flatMap((layout) => layout?.end ?? []),
    result.hits.map((hit) => hit.score),
  );
  return (
    <ol onPointerLeave={() => onAt(null)}>
      {result.hits.map((hit, i) => (
        <Row
          key={hit.passage_id}
          hit={hit}
          layout={layouts[i] ?? null}
          scale={scale}
          same={hit.passage_id === at}
          others={elsewhere(hit.passage_id, result.system, columns)}
          onAt={onAt}
          to={to(hit.passage_id)}
        />
      ))}
    </ol>
  );
}

interface RowProps {
  hit: Shape<"Hit">;
  layout: Layout | null;
  scale: Scale;
  same: boolean;
  others: string;
  onAt: (id: string | null) => void;
  to: string;
}

function Row({ hit, layout, scale, same, others, onAt, to }: RowProps) {
  return (
    <li class={same ? "same" : ""} onPointerEnter={() => onAt(hit.passage_id)}>
      <span class="faint num">{hit.rank}</span>
      <a class="t plain" href={to} title={titled(hit)} onFocus={() => onAt(hit.passage_id)} onBlur={() => onAt(null)}>
        <bdi>{titled(hit)}</bdi>
      </a>
      <span class="num">{figure(hit.score, decimals(scale))}</span>
      {layout && <Bar layout={layout} scale={scale} small />}
      <span class="cols-also small faint">{others}</span>
    </li>
  );
}
