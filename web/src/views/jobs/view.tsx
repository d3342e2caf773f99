/** Jobs: what runs now, what ran before, and what may be begun. */
import { useEffect, useState } from "preact/hooks";
import { CopyAs, python } from "../../parts/copy";
import { type Job, running, runs, useJobs } from "../../parts/jobs";
import { byModel } from "../../parts/jobwords";
import { Blank, Failed, Lines } from "../../parts/states";
import { useProject } from "../../project";
import { Earlier } from "./earlier";
import { Running } from "./running";
import { StartJob } from "./start";

export function JobsView() {
  const { jobs, error } = useJobs();
  const readOnly = useProject().data?.read_only ?? false;
  const [starting, start] = useState(false);
  useEffect(() => {
    document.title = "Jobs · unweave";
  }, []);
  const now = running(jobs);
  const earlier = jobs?.jobs.filter((job) => !runs(job)) ?? [];
  const may = jobs !== undefined && jobs.kinds.length > 0;
  const button = may && (
    <button type="button" class="btn" disabled={now !== undefined} onClick={() => start(true)}>
      Start a job …
    </button>
  );
  return (
    <div class="jobs">
      <div class="jobs-head">
        <h1>Jobs</h1>
        {(now || earlier.length > 0) && button}
      </div>
      {error && <Failed error={error} />}
      {!jobs && !error && <Lines n={5} height={20} />}
      {now && <Running key={now.id} job={now} spent={jobs?.spent ?? null} />}
      {jobs && !now && earlier.length === 0 && (
        <Blank level={2} title="Nothing is running">
          <p>
            {readOnly
              ? "This project is served read-only: its commands run in a terminal."
              : "Naming, judging, evaluation and audits run here, one at a time. They go on when you close this page, and can be cancelled and resumed."}
          </p>
          <p>{button}</p>
        </Blank>
      )}
      {earlier.length > 0 && <Earlier jobs={earlier} idle={!now} kinds={jobs?.kinds ?? []} />}
      {jobs && <Foot last={now ?? earlier[0]} />}
      {starting && jobs && <StartJob jobs={jobs} onClose={() => start(false)} />}
    </div>
  );
}

/** The last job as a command and as Python: its kind is the name of the project's method. */
function Foot({ last }: { last: Job | undefined }) {
  const path = useProject().data?.path ?? "PROJECT";
  if (!last) return null;
  const by = byModel(last) ? 'by="language-model"' : "";
  return (
    <p class="then">
      <CopyAs
        of={{
          command: last.command,
          python: `import unweave as uw\nuw.Project.open(${python(path)}).${last.kind}(${by})`,
          json: "/api/jobs",
        }}
      />
    </p>
  );
}
