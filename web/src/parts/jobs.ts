/** The server's jobs, asked for once for all who show them: each second while one runs, else every ten; never while the
 * page is hidden. */
import { useEffect, useState } from "preact/hooks";
import { api, asked, type Refused, type Shape } from "../api/client";

export type Job = Shape<"Job">;
export type Jobs = Shape<"Jobs">;
export type Kind = Shape<"BeginJob">["kind"];
export type Asked = Partial<Shape<"BeginJob">> & { kind: Kind };

interface Known {
  jobs: Jobs | undefined;
  error: Refused | undefined;
}

const BUSY_MS = 1_000;
const IDLE_MS = 10_000;

let known: Known = { jobs: undefined, error: undefined };
let timer: ReturnType<typeof setTimeout> | undefined;
const watchers = new Set<(known: Known) => void>();

function tell(now: Known): void {
  known = now;
  for (const watcher of watchers) watcher(known);
}

/** Look now, and from then on again and again. */
async function look(): Promise<void> {
  clearTimeout(timer);
  timer = undefined;
  if (watchers.size === 0 || document.hidden) return;
  try {
    tell({ jobs: await asked(api.GET("/api/jobs")), error: undefined });
  } catch (error) {
    tell({ ...known, error: error as Refused });
  }
  if (timer === undefined && watchers.size > 0)
    timer = setTimeout(look, running(known.jobs) && !known.error ? BUSY_MS : IDLE_MS);
}

/** The jobs as they were last seen, for as long as a part of the page shows them. */
export function useJobs(): Known {
  const [seen, set] = useState(known);
  useEffect(() => {
    watchers.add(set);
    if (watchers.size === 1) {
      document.addEventListener("visibilitychange", look);
      look();
    } else set(known);
    return () => {
      watchers.delete(set);
      if (watchers.size > 0) return;
      document.removeEventListener("visibilitychange", look);
      clearTimeout(timer);
    };
  }, []);
  return seen;
}

export async function begin(what: Asked): Promise<Job> {
  const body = { namer: null, most: null, ...what };
  const job = await asked(api.POST("/api/jobs", { body }));
  await look();
  return job;
}

/** What was finished is kept; the same job goes on from there. */
export async function cancel(id: string): Promise<void> {
  await asked(api.DELETE("/api/jobs/{id}", { params: { path: { id } } }));
  await look();
}

export function runs(job: Job): boolean {
  return job.state === "running" || job.state === "cancelling";
}

/** The job that runs; there is one at a time. */
export function running(jobs: Jobs | undefined): Job | undefined {
  return jobs?.jobs.find(runs);
}
