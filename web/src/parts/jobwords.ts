/** What a job is called, how far it is, and how long it took, in words. */
import type { Shape } from "../api/client";
import { count, share } from "./figures";

type Job = Shape<"Job">;
type Step = Shape<"Progress">;

const NAMES: Record<string, [name: string, doing: string]> = {
  embed: ["Embedding", "embedding"],
  fit: ["Training", "training"],
  tokens: ["Concepts of single tokens", "tokens"],
  name: ["Naming by keyphrases", "naming"],
  judge: ["Judging names", "judging"],
  index: ["Indexing", "indexing"],
  evaluate: ["Evaluation", "evaluating"],
  audit: ["Audit", "auditing"],
  faithfulness: ["Faithfulness", "testing"],
  map: ["Map", "mapping"],
};

const BY_MODEL = /--namer[ =]language-model/;

/** Whether a job may cost money. */
export function byModel(job: Job): boolean {
  return job.spent !== null || (job.kind === "name" && BY_MODEL.test(job.command));
}

export function nameOf(job: Job): string {
  return byModel(job) ? "Naming with a language model" : nameOfKind(job.kind);
}

export function nameOfKind(kind: string): string {
  return NAMES[kind]?.[0] ?? kind;
}

/** As the bar at the top says it: "naming". */
export function doing(kind: string): string {
  return NAMES[kind]?.[1] ?? kind;
}

/** The step that is at work: the one that was begun last; one before it may have stopped early. */
export function step(job: Job): Step | undefined {
  return job.steps.at(-1);
}

/** How far a step is, from 0 to 1; 0 where nobody knows how much there is. */
export function part(of: Step | undefined): number {
  return of && of.total > 0 ? Math.min(1, of.done / of.total) : 0;
}

/** "naming 61 %", or "naming" before it is known how much there is. */
export function short(job: Job): string {
  const at = step(job);
  return at && at.total > 0 ? `${doing(job.kind)} ${share(part(at))}` : doing(job.kind);
}

/** "3,725 of 6,107 concepts" */
export function reached(of: Step): string {
  if (of.total <= 0) return of.done > 0 ? `${count(of.done)} ${of.unit}` : "begun";
  return `${count(of.done)} of ${count(of.total)} ${of.unit}`.trim();
}

export function took(seconds: number): string {
  if (seconds < 1) return "under 1 s";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = Math.floor(seconds - 60 * minutes);
  if (minutes < 60) return rest > 0 ? `${minutes} min ${rest} s` : `${minutes} min`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** Seconds between two times of the server; null if one of them is none. */
export function between(began: string, ended: string | null): number | null {
  const seconds = (Date.parse(ended ?? "") - Date.parse(began)) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : null;
}

/** A step as it was first seen here, in seconds; from it the rate is known. */
export interface Seen {
  label: string;
  at: number;
  done: number;
}

/** Seconds that a step will go on for at the rate of the last while; null while too little is known. */
export function left(of: Step, seen: Seen, now: number): number | null {
  const done = of.done - seen.done;
  if (of.label !== seen.label || done <= 0 || now - seen.at < 2 || of.total <= 0) return null;
  return ((of.total - of.done) * (now - seen.at)) / done;
}

export function leftSaid(seconds: number): string {
  if (seconds < 5) return "a few seconds left";
  if (seconds < 90) return `about ${5 * Math.round(seconds / 5)} seconds left`;
  if (seconds < 90 * 60) return `about ${Math.round(seconds / 60)} minutes left`;
  return `about ${Math.round(seconds / 3600)} hours left`;
}

/** The local time of day, with the date where that is another day. */
export function clock(iso: string, now = new Date()): string {
  const time = new Date(iso);
  if (Number.isNaN(time.getTime())) return iso;
  const of = time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  return time.toDateString() === now.toDateString() ? of : `${time.toLocaleDateString("en-CA")} ${of}`;
}
