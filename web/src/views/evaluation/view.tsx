/** Evaluation: the leaderboard, two systems query by query, and one query opened. */
import { useEffect } from "preact/hooks";
import { changed, go, useAddress } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { CopyAs, python, quoted } from "../../parts/copy";
import { counted } from "../../parts/figures";
import { BeginJob } from "../../parts/job";
import { running, useJobs } from "../../parts/jobs";
import { Scrolls } from "../../parts/scrolls";
import { Blank, Failed, Lines } from "../../parts/states";
import { useProject } from "../../project";
import { Leaderboard } from "./leaderboard";
import { QueryByQuery } from "./queries";
import { baselineOf, stateOf, withChosen } from "./state";

export function EvaluationView() {
  const board = useLoaded("leaderboard", (signal) => asked(api.GET("/api/evaluation", { signal })));
  useEffect(() => {
    document.title = "Evaluation · unweave";
  }, []);
  if (board.error && !board.data)
    return board.error.status === 409 ? (
      <NotEvaluated said={board.error.message} onDone={board.reload} />
    ) : (
      <>
        <h1>Evaluation</h1>
        <Failed error={board.error} onRetry={board.reload} />
      </>
    );
  return (
    <>
      <h1>Evaluation</h1>
      <EvaluatingAgain onDone={board.reload} />
      {board.data ? <Found board={board.data} /> : board.slow && <Lines n={10} height={20} />}
    </>
  );
}

function Found({ board }: { board: Shape<"Leaderboard"> }) {
  const { params } = useAddress();
  const project = useProject().data;
  const state = stateOf(params, board);
  const path = quoted(project?.path ?? "PROJECT");
  const { measure } = state;
  const against = baselineOf(board);
  const asks = against && JSON.stringify([measure, against, board.rows.map((row) => row.measures[measure])]);
  const found = useLoaded(asks, (signal) =>
    asked(api.GET("/api/evaluation/verdicts", { params: { query: { measure, against: against ?? "" } }, signal })),
  );
  const verdicts = found.data?.measure === measure ? found.data : undefined;
  return (
    <>
      <section class="block" aria-labelledby="board">
        <header>
          <h2 id="board">Leaderboard</h2>
          <span class="small faint">
            {counted(board.n_queries, "judged query", "judged queries")}, split <bdi>{board.split}</bdi>; the best of a
            column is bold
            {verdicts && "; 95 % intervals; better and worse after Holm’s correction"}
            {!verdicts && found.slow && "; working out what is sure …"}
            {!verdicts && found.error && `; what is sure is not there: ${found.error.message}`}
          </span>
          {!verdicts && found.error && (
            <button class="btn quiet s" type="button" onClick={found.reload}>
              Try again
            </button>
          )}
          <span class="r">
            <CopyAs
              narrow={false}
              of={{
                command: `unweave compare ${path} ${quoted(state.a)} ${quoted(state.b)} --measure ${quoted(state.measure)}`,
                python: `import unweave as uw\nuw.Project.open(${python(project?.path ?? "PROJECT")}).compare(${python(state.a)}, ${python(state.b)}, ${python(state.measure)})`,
                json: "/api/evaluation",
              }}
            />
          </span>
        </header>
        <Scrolls label="Leaderboard as a table">
          <Leaderboard
            board={board}
            state={state}
            verdicts={verdicts}
            onChoose={(of, system) => go(changed({ ...withChosen(state, of, system), query: null }))}
            onMeasure={(measure) => go(changed({ measure, query: null }))}
          />
        </Scrolls>
      </section>
      {state.a !== state.b && <QueryByQuery state={state} />}
    </>
  );
}

/** Above what was found before, while it is found anew. */
function EvaluatingAgain({ onDone }: { onDone: () => void }) {
  const { jobs } = useJobs();
  const project = useProject().data;
  const stale = project?.stages.some((stage) => stage.name === "evaluation" && stage.state === "stale");
  const runs = running(jobs)?.kind === "evaluate";
  if (!runs && !stale) return null;
  return (
    <section class="card evaluating">
      {!runs && <p>What was measured is older than what it was measured with.</p>}
      <BeginJob kind="evaluate" label="Evaluate again" small onDone={onDone} />
    </section>
  );
}

function NotEvaluated({ said, onDone }: { said: string; onDone: () => void }) {
  const project = useProject().data;
  const path = quoted(project?.path ?? "mine");
  if (project && project.n_judged === 0)
    return (
      <Blank title="No judged queries in this project">
        <p>
          To compare systems, unweave needs queries and the passages that are relevant to each: bring them when you make
          the project, or add them.
        </p>
        <pre class="cmd">{`unweave init mine --corpus passages.jsonl --queries queries.jsonl --qrels qrels.tsv
unweave evaluate mine`}</pre>
      </Blank>
    );
  return (
    <Blank title="Not evaluated yet">
      <p>
        {project
          ? `${counted(project.n_judged, "judged query", "judged queries")} can tell which system finds what is relevant.`
          : said}
      </p>
      <pre class="cmd">unweave evaluate {path}</pre>
      <p class="then">
        <BeginJob kind="evaluate" label="Evaluate now" onDone={onDone} />
      </p>
    </Blank>
  );
}
