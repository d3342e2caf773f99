/** The job that runs: how far each step is, what it has spent, what it says, and how it is cancelled. */
import { useEffect, useRef, useState } from "preact/hooks";
import type { Refused, Shape } from "../../api/client";
import { counted, share } from "../../parts/figures";
import { ProgressLine } from "../../parts/job";
import { cancel, type Job } from "../../parts/jobs";
import { byModel, clock, left, leftSaid, nameOf, part, reached, type Seen, step } from "../../parts/jobwords";
import { Failed } from "../../parts/states";
import { CancelPaid } from "./cancel";
import { Money } from "./money";

type Spent = Shape<"Spent">;

/** Steps that are shown, the last ones: a long job has dozens. */
const SHOWN = 3;

export function Running({ job, spent }: { job: Job; spent: Spent | null }) {
  const [asks, ask] = useState(false);
  const [error, fail] = useState<Refused>();
  const paid = byModel(job);
  const stop = () => cancel(job.id).catch(fail);
  const rest = useLeft(job);
  const shown = job.steps.slice(-SHOWN);
  const before = job.steps.length - shown.length;
  return (
    <article class="card" aria-labelledby="running">
      <div class="job-head">
        <h2 id="running">{nameOf(job)}</h2>
        <span class="mute">
          began {clock(job.began)}
          {job.state === "cancelling" ? ", is being cancelled" : rest !== null && `, ${leftSaid(rest)}`}
        </span>
        {job.state === "running" && (
          <span class="acts">
            <button type="button" class="btn s" onClick={() => (paid ? ask(true) : stop())}>
              {paid ? "Cancel …" : "Cancel"}
            </button>
          </span>
        )}
      </div>
      {error && <Failed error={error} />}
      <div class="job-steps">
        {shown.map((one, i) => (
          <div class="job-step" key={before + i}>
            <p>
              <span>
                <b>{one.label}</b> <span class="mute">{reached(one)}</span>
              </span>
              <span class="num">{one.total > 0 && share(part(one))}</span>
            </p>
            <ProgressLine value={part(one)} label={one.label} />
          </div>
        ))}
        {before > 0 && <p class="mute small">{counted(before, "step")} before these.</p>}
        {job.steps.length === 0 && <p class="mute">It prepares its first step.</p>}
        {paid && spent && <Money spent={spent} here={job.spent} />}
      </div>
      <Log lines={job.lines} />
      {asks && <CancelPaid job={job} onClose={() => ask(false)} onCancel={stop} />}
    </article>
  );
}

/** Seconds that the present step goes on for, at the rate since this page first saw it. */
function useLeft(job: Job): number | null {
  const seen = useRef<Seen | null>(null);
  const at = step(job);
  const now = performance.now() / 1000;
  if (at && seen.current?.label !== at.label) seen.current = { label: at.label, at: now, done: at.done };
  return at && seen.current ? left(at, seen.current, now) : null;
}

/** What was said, the last lines in sight unless a person scrolled up. */
export function Log({ lines }: { lines: string[] }) {
  const box = useRef<HTMLPreElement>(null);
  const follows = useRef(true);
  useEffect(() => {
    if (box.current && follows.current) box.current.scrollTop = box.current.scrollHeight;
  }, [lines.length]);
  if (lines.length === 0) return null;
  return (
    <pre
      class="log"
      ref={box}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls has to be reached by the keyboard
      tabIndex={0}
      role="log"
      aria-label="What the job said"
      onScroll={({ currentTarget: at }) => {
        follows.current = at.scrollHeight - at.scrollTop - at.clientHeight < 24;
      }}
    >
      {lines.join("\n")}
    </pre>
  );
}
