/** A button that begins a job and then shows how far it is; and the little that the bar at the top says of it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { Refused } from "../api/client";
import { useProject } from "../project";
import { share } from "./figures";
import { type Asked, begin, cancel, type Job, running, runs, useJobs } from "./jobs";
import { byModel, doing, nameOf, part, reached, short, step } from "./jobwords";
import { Failed } from "./states";

/** A line as long as what is done. */
export function ProgressLine({ value, label }: { value: number; label: string }) {
  const percent = Math.round(100 * value);
  return (
    <div role="progressbar" aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100} aria-label={label}>
      <svg class="prog" aria-hidden="true">
        <rect width="100%" height="6" rx="3" class="prog-all" />
        {percent > 0 && <rect width={`${100 * value}%`} height="6" rx="3" class="prog-done" />}
      </svg>
    </div>
  );
}

/** What costs money is cancelled where it is said what that means. */
function Cancel({ job, onError }: { job: Job; onError: (error: Refused) => void }) {
  if (byModel(job))
    return (
      <a class="btn s" href="/jobs">
        Cancel …
      </a>
    );
  return (
    <button type="button" class="btn s" onClick={() => cancel(job.id).catch(onError)}>
      Cancel
    </button>
  );
}

/** The step that a job is at. */
export function JobProgress({ job, stop = true }: { job: Job; stop?: boolean }) {
  const [error, fail] = useState<Refused>();
  const at = step(job);
  return (
    <div class="job-now">
      <div class="job-now-line">
        <span>
          <b>{at?.label ?? nameOf(job)}</b>{" "}
          <span class="mute">{job.state === "cancelling" ? "is being cancelled" : at && reached(at)}</span>
        </span>
        <span class="num">{at && at.total > 0 ? share(part(at)) : ""}</span>
        {stop && job.state === "running" && <Cancel job={job} onError={fail} />}
      </div>
      <ProgressLine value={part(at)} label={nameOf(job)} />
      {error && <Failed error={error} />}
    </div>
  );
}

export interface BeginJobProps extends Asked {
  /** On the button, such as "Evaluate now". */
  label: string;
  /** The job is done, and what it made can be asked for. */
  onDone?: (job: Job) => void;
  primary?: boolean;
  small?: boolean;
}

/**
 * Begin a job where its result is missed. Shows its progress while it runs, also if it was begun elsewhere, and why it
 * failed. Where the server begins no such job, nothing is shown: the command that stands beside it does the same.
 */
export function BeginJob({ label, onDone, primary = true, small = false, ...what }: BeginJobProps) {
  const { jobs } = useJobs();
  const [begun, setBegun] = useState<string>();
  const [error, fail] = useState<Refused>();
  const told = useRef<string | undefined>(undefined);
  const mine = jobs?.jobs.find((job) => (begun ? job.id === begun : job.kind === what.kind && runs(job)));
  const other = running(jobs);
  useEffect(() => {
    if (mine && mine.id !== begun) setBegun(mine.id);
    if (mine?.state === "done" && told.current !== mine.id) {
      told.current = mine.id;
      onDone?.(mine);
    }
  }, [mine?.id, mine?.state]);
  if (mine && runs(mine)) return <JobProgress job={mine} />;
  if (!jobs?.kinds.includes(what.kind) && !error) return null;
  const start = () => {
    fail(undefined);
    begin(what).then((job) => setBegun(job.id), fail);
  };
  const broke = mine?.state === "failed" ? new Refused(0, "Failed", mine.error ?? "The job failed.") : error;
  return (
    <span class="begin">
      {broke && <Failed error={broke} />}
      <button
        type="button"
        class={`btn${primary ? " primary" : ""}${small ? " s" : ""}`}
        disabled={other !== undefined}
        onClick={start}
      >
        {label}
      </button>
      {other && <span class="small mute">Waits: {doing(other.kind)} is running, and jobs run one at a time.</span>}
    </span>
  );
}

/** Beside "Jobs" in the bar at the top: what runs and how far it is. When it ends, the project is read anew. */
export function JobTag() {
  const { jobs } = useJobs();
  const { reload } = useProject();
  const job = running(jobs);
  const before = useRef<string | undefined>(undefined);
  useEffect(() => {
    if (before.current && before.current !== job?.id) reload();
    before.current = job?.id;
  }, [job?.id]);
  if (!job) return null;
  const [what, ...figure] = short(job).split(/ (?=\d)/);
  return (
    <span class="tag">
      <span class={figure.length > 0 ? "only-wide" : ""}>{what}&nbsp;</span>
      {figure}
    </span>
  );
}
