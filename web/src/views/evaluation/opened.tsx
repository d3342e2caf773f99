/** One query opened: the first hits of both systems as sums, and where its judged passages stand. */
import { address } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { figure, signed } from "../../parts/figures";
import { Failed, Lines } from "../../parts/states";
import { useProject } from "../../project";
import { Bar } from "../../score/bar";
import { accountsOf, contributionsOf } from "../../score/groups";
import { layoutOf } from "../../score/layout";
import { decimals, scaleOf } from "../../score/scale";
import { filled, NO_SLOTS } from "../../score/slots";
import { graded, puzzle, type Ranks, ranksOf, saidRank, titleOf } from "./judged";

const SHOWN = 10;
const DEEP = 100;
const NAMED = 2;

type Hit = Shape<"Hit">;

export function OpenedQuery({ id, a, b }: { id: string; a: string; b: string }) {
  const query = useLoaded(id, (signal) =>
    asked(api.GET("/api/evaluation/query", { params: { query: { id } }, signal })),
  );
  if (query.error) return <Failed error={query.error} onRetry={query.reload} />;
  if (!query.data) return query.slow ? <Lines n={8} /> : null;
  return <Opened query={query.data} a={a} b={b} />;
}

function useHits(q: string, system: string) {
  const systems = useProject().data?.systems;
  const can = systems?.includes(system) || system.includes(" + ");
  const search = (signal: AbortSignal, k: number, explain: boolean) =>
    asked(api.GET("/api/search", { params: { query: { q, system, k, explain } }, signal }));
  const first = useLoaded(can ? `${system}\n${q}` : null, (signal) => search(signal, SHOWN, true));
  // Without sums, a hundred cost no more than ten.
  const deep = useLoaded(can ? `${system}\n${q}\ndeep` : null, (signal) => search(signal, DEEP, false));
  return { can, first, deep };
}

function Opened({ query, a, b }: { query: Shape<"JudgedQuery">; a: string; b: string }) {
  const ofA = useHits(query.text, a);
  const ofB = useHits(query.text, b);
  const explanations = [ofA, ofB].flatMap(
    ({ first }) => first.data?.hits.flatMap((hit) => hit.explanation ?? []) ?? [],
  );
  const slots = filled(NO_SLOTS, explanations);
  const grades = new Map(query.judged.map((passage) => [passage.passage_id, passage.grade]));
  const column = (system: string, { can, first }: typeof ofA) => (
    <div>
      <h3>
        <bdi>{system}</bdi>
      </h3>
      {!can && <p class="mute">Only its measured run is there: this system cannot be searched with here.</p>}
      {first.error && <Failed error={first.error} onRetry={first.reload} />}
      {first.data && <Hits hits={first.data.hits} grades={grades} slots={slots} query={query.text} />}
      {!first.data && first.slow && <Lines n={10} height={22} />}
    </div>
  );
  return (
    <div class="detail">
      {column(a, ofA)}
      {column(b, ofB)}
      <div>
        <h3>Judged passages</h3>
        <Judged
          judged={query.judged}
          systems={[
            { name: a, ranks: ranksOf(ofA.deep.data?.hits) },
            { name: b, ranks: ranksOf(ofB.deep.data?.hits) },
          ]}
        />
        <p class="then">
          <a class="btn s" href={address("/search", { q: query.text, system: ofA.can ? a : b })}>
            Open in the search
          </a>
        </p>
        <Why system={a} hits={ofA.deep.data?.hits} grades={grades} query={query.text} />
        <Why system={b} hits={ofB.deep.data?.hits} grades={grades} query={query.text} />
      </div>
    </div>
  );
}

interface HitsProps {
  hits: Hit[];
  grades: Map<string, number>;
  slots: ReturnType<typeof filled>;
  query: string;
}

function Hits({ hits, grades, slots, query }: HitsProps) {
  const layouts = hits.map((hit) => hit.explanation && layoutOf(accountsOf(hit.explanation, slots, query)));
  const scale = scaleOf(
    layouts.map((layout) => layout?.end ?? 0),
    hits.map((hit) => hit.score),
  );
  const digits = decimals(scale);
  return (
    <ol class="opened-hits">
      {hits.map((hit, i) => (
        <li key={hit.passage_id}>
          <span class="faint num">{hit.rank}</span>
          <a class="plain t" href={address("/passage", { id: hit.passage_id })} title={hit.title || hit.passage_id}>
            <bdi>{hit.title || hit.text.slice(0, 120) || hit.passage_id}</bdi>
          </a>
          <span class="num">{figure(hit.score, digits)}</span>
          <Grade grade={grades.get(hit.passage_id)} />
          {layouts[i] && <Bar layout={layouts[i]} scale={scale} small />}
          <span class="small mute carries">{hit.explanation && strongest(hit, digits)}</span>
        </li>
      ))}
    </ol>
  );
}

function Grade({ grade }: { grade: number | undefined }) {
  return grade === undefined ? null : <span class="tag">{graded(grade)}</span>;
}

/** The names that carry most of a score, in words: the small bar has none. */
function strongest(hit: Hit, digits: number): string {
  if (!hit.explanation) return "";
  const named = contributionsOf(hit.explanation).filter((c) => c.group === "named" || c.group === null);
  return [...named]
    .sort((x, y) => Math.abs(y.value) - Math.abs(x.value))
    .slice(0, NAMED)
    .map((c) => `${c.group === null ? `“${c.name}”` : c.name} ${signed(c.value, digits)}`)
    .join("; ");
}

interface WhyProps {
  system: string;
  hits: Hit[] | undefined;
  grades: Map<string, number>;
  query: string;
}

/** To the comparison of a system's first hit with the relevant one that it puts below. */
function Why({ system, hits, grades, query }: WhyProps) {
  const pair = puzzle(hits, grades);
  if (!pair) return null;
  const [above, below] = pair;
  const compare = pair.map((hit) => encodeURIComponent(hit.passage_id)).join(",");
  return (
    <p class="then mute">
      <bdi>{system}</bdi>:{" "}
      <a href={address("/search", { q: query, system, compare })}>
        why <bdi>“{titleOf(above)}”</bdi> is above <bdi>“{titleOf(below)}”</bdi>
      </a>
    </p>
  );
}

interface Standing {
  name: string;
  ranks: Ranks | undefined;
}

function Judged({ judged, systems }: { judged: Shape<"JudgedPassage">[]; systems: Standing[] }) {
  return (
    <table class="ledger">
      <caption class="vh">Judged passages with their grades and ranks</caption>
      <thead>
        <tr>
          <th>Passage</th>
          <th>Grade</th>
          {systems.map((system) => (
            <th class="num" key={system.name}>
              <bdi>{system.name}</bdi>
            </th>
          ))}
        </tr>
      </thead>
      <tbody>
        {judged.map((passage) => (
          <tr key={passage.passage_id}>
            <td>
              <a class="plain" href={address("/passage", { id: passage.passage_id })}>
                <bdi>{passage.title || passage.passage_id}</bdi>
              </a>
            </td>
            <td>{graded(passage.grade)}</td>
            {systems.map((system) => (
              <td class="num" key={system.name}>
                {saidRank(system.ranks, passage.passage_id)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
  );
}
