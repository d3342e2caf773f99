/** What the address of the reader says, and the same as a command, as Python, and as the address of its JSON. */
import type { Shape } from "../../api/client";
import { type Copyable, python, quoted } from "../../parts/copy";
import type { ProjectInfo } from "../../project";
import { asksOf, type SearchState, stateOf as searchOf } from "../search/state";
import { isSteerable } from "../search/sums";

export type Page = Shape<"PassagePage">;

/** A passage, and the search that led to it; without one its query is empty. */
export interface State extends SearchState {
  id: string;
  pairs: boolean;
}

export function stateOf(params: URLSearchParams): State {
  return { ...searchOf(params, "dense"), id: params.get("id") ?? "", pairs: params.get("pairs") === "1" };
}

/** Whether the score that is shown is bent by the boosts. */
export function bends(state: State, project: ProjectInfo | undefined): boolean {
  return state.boosts.size > 0 && project !== undefined && isSteerable(state.system, project.steerable);
}

export function copyable(of: Page, state: State, mark: number | null, project: ProjectInfo | undefined): Copyable {
  const path = project?.path ?? "PROJECT";
  const { q, system } = state;
  const id = of.passage_id;
  const lines = (call: string) => `import unweave as uw\nuw.Project.open(${python(path)}).${call}`;
  const command = (verb: string, ...args: string[]) => `unweave ${verb} -- ${args.map(quoted).join(" ")}`;
  if (q && state.pairs)
    return {
      command: command("explain --by-words", path, q, id),
      python: lines(`by_words(${python(q)}, ${python(id)})`),
      json: `/api/pairs?${new URLSearchParams({ q, passage: id })}`,
    };
  if (q) {
    const boosts = bends(state, project) ? [...state.boosts] : [];
    const options = [
      ...(system === "dense" ? [] : [` --system ${quoted(system)}`]),
      ...boosts.map(([latent, factor]) => ` --boost ${latent}=${factor}`),
    ].join("");
    const steering = boosts.length ? `, steering=uw.Steering(boosts=${python(Object.fromEntries(boosts))})` : "";
    return {
      command: command(`explain${options}`, path, q, id),
      python: lines(`explain(${python(q)}, ${python(id)}, system=${python(system)}${steering})`),
      json: explained(id, state, project),
    };
  }
  const json = `/api/passage?${new URLSearchParams({ id })}`;
  if (mark !== null)
    return {
      command: command("carrying", path, id, String(mark)),
      python: lines(`carrying(${python(id)}, ${mark})`),
      json,
    };
  return { command: command("paths", path, id), python: lines(`paths(${python(id)})`), json };
}

function explained(id: string, state: State, project: ProjectInfo | undefined): string {
  const { q, system, boost, ban, where } = asksOf(state, isSteerable(state.system, project?.steerable ?? {}));
  const given = new URLSearchParams({ q, system, passage: id });
  for (const one of boost) given.append("boost", one);
  for (const one of ban) given.append("ban", String(one));
  for (const one of where) given.append("where", one);
  return `/api/explain?${given}`;
}
