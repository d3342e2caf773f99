/** Jobs that ended, the last first: what came of them, and how to go on with one. */
import { useState } from "preact/hooks";
import { Refused } from "../../api/client";
import { figure } from "../../parts/figures";
import { begin, type Job } from "../../parts/jobs";
import { between, byModel, clock, nameOf, reached, step, took } from "../../parts/jobwords";
import { Failed } from "../../parts/states";
import { Log } from "./running";

const ENDED: Record<string, string> = { done: "Done", cancelled: "Cancelled", failed: "Failed" };
/** Where the results of a kind are seen. */
const SEEN: Record<string, string> = {
  evaluate: "/evaluation",
  name: "/concepts",
  judge: "/concepts",
  audit: "/audit",
  map: "/map",
  index: "/search",
};

export function Earlier({ jobs, idle, kinds }: { jobs: Job[]; idle: boolean; kinds: string[] }) {
  const [error, fail] = useState<Refused>();
  const [open, setOpen] = useState<string | null>(null);
  const resume = (job: Job) => {
    fail(undefined);
    begin(job.asked).catch((problem) =>
      fail(problem instanceof Refused ? problem : new Refused(0, "Error", String(problem))),
    );
  };
  return (
    <section class="block then" aria-labelledby="earlier">
      <header>
        <h2 id="earlier">Earlier</h2>
      </header>
      {error && <Failed error={error} />}
      <table class="grid earlier">
        <caption class="vh">Jobs that ended</caption>
        <thead>
          <tr>
            <th>Job</th>
            <th>Ended</th>
            <th class="lo">What came of it</th>
            <th class="num lo">Took</th>
            <th class="num lo">Spent</th>
            <th>
              <span class="vh">Action</span>
            </th>
          </tr>
        </thead>
        <tbody>
          {jobs.map((job) => (
            <Line
              key={job.id}
              job={job}
              open={open === job.id}
              mayResume={idle && kinds.includes(job.kind)}
              onResume={() => resume(job)}
              onOpen={() => setOpen(open === job.id ? null : job.id)}
            />
          ))}
        </tbody>
      </table>
    </section>
  );
}

interface LineProps {
  job: Job;
  open: boolean;
  mayResume: boolean;
  onResume: () => void;
  onOpen: () => void;
}

function Line({ job, open, mayResume, onResume, onOpen }: LineProps) {
  const seconds = between(job.began, job.ended);
  const seen = SEEN[job.kind];
  return (
    <>
      <tr>
        <td>{nameOf(job)}</td>
        <td class="mute">
          {ENDED[job.state] ?? job.state}
          {job.ended && `, ${clock(job.ended)}`}
        </td>
        <td class="lo mute what">{outcome(job)}</td>
        <td class="num lo">{seconds === null ? "–" : took(seconds)}</td>
        <td class="num lo">{job.spent && byModel(job) ? figure(job.spent.cost, 2) : "–"}</td>
        <td class="num">
          {job.state === "done" && seen && (
            <a class="btn quiet s" href={seen}>
              See it
            </a>
          )}
          {job.state !== "done" && mayResume && (
            <button type="button" class="btn quiet s" onClick={onResume}>
              Resume
            </button>
          )}
          <button type="button" class="btn quiet s" aria-expanded={open} onClick={onOpen}>
            Details
          </button>
        </td>
      </tr>
      {open && (
        <tr class="details">
          <td colSpan={6}>
            {job.error && <p class="mute">{job.error}</p>}
            <pre class="cmd">{job.command}</pre>
            <Log lines={job.lines} />
          </td>
        </tr>
      )}
    </>
  );
}

/** The error, else what came of it, else how far it came. */
export function outcome(job: Job): string {
  const at = step(job);
  const [first, ...others] = job.result;
  const came = first && (others.length > 0 ? `${first}; and ${others.length} more` : first);
  return job.error ?? came ?? (at ? reached(at) : "");
}
