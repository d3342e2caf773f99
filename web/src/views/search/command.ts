/** A search as a command, as Python, and as the address of its JSON. */
import { type Copyable, python, quoted } from "../../parts/copy";
import type { SearchState } from "./state";

export function copied(state: SearchState, path: string): Copyable {
  return { command: command(state, path), python: inPython(state, path), json: json(state) };
}

function command({ q, system, boosts, bans, where, k }: SearchState, path: string): string {
  const options = [
    `--system ${quoted(system)}`,
    ...(k === 10 ? [] : [`-k ${k}`]),
    ...[...boosts].map(([latent, factor]) => `--boost ${latent}=${factor}`),
    ...bans.map((latent) => `--ban ${latent}`),
    ...where.map((one) => `--where ${quoted(one)}`),
    "--explain",
  ].join(" ");
  // What begins with - would be read as an option.
  return q.startsWith("-")
    ? `unweave search ${options} -- ${quoted(path)} ${quoted(q)}`
    : `unweave search ${quoted(path)} ${quoted(q)} ${options}`;
}

function inPython({ q, system, boosts, bans, where, k }: SearchState, path: string): string {
  const steering = [
    boosts.size ? `boosts=${python(Object.fromEntries(boosts))}` : "",
    bans.length ? `banned=${python(bans)}` : "",
    where.length
      ? `allowed=project.where(${python(Object.fromEntries(where.map(split)))}, system=${python(system)})`
      : "",
  ].filter(Boolean);
  const bent = steering.length ? `, steering=uw.Steering(${steering.join(", ")})` : "";
  return [
    "import unweave as uw",
    "",
    `project = uw.Project.open(${python(path)})`,
    `hits = project.search(${python(q)}, ${k}, system=${python(system)}${bent}, explain=True)`,
  ].join("\n");
}

function split(one: string): [string, string] {
  const at = one.indexOf("=");
  return [one.slice(0, at), one.slice(at + 1)];
}

function json({ q, system, boosts, bans, where, k }: SearchState): string {
  const params = new URLSearchParams({ q, system, k: String(k) });
  for (const [latent, factor] of boosts) params.append("boost", `${latent}:${factor}`);
  for (const latent of bans) params.append("ban", String(latent));
  for (const one of where) params.append("where", one);
  return `/api/search?${params}`;
}
