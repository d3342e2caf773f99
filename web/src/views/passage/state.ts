/** What the address of the reader says, and the same as a command, as Python, and as the address of its JSON. */
import type { Shape } from "../../api/client";
import { type Copyable, python, quoted } from "../../parts/copy";
import type { ProjectInfo } from "../../project";

export type Page = Shape<"PassagePage">;

export interface State {
  id: string;
  query: string;
  system: string;
  boost: string[];
  selected: number | null;
  pairs: boolean;
}

export function stateOf(params: URLSearchParams): State {
  const sel = params.get("sel") ?? "";
  return {
    id: params.get("id") ?? "",
    query: params.get("q") ?? "",
    system: params.get("system") ?? "dense",
    boost: (params.get("boost") ?? "").split(",").filter((one) => /^\d{1,9}:-?\d{1,7}(\.\d{1,6})?$/.test(one)),
    selected: /^\d{1,9}$/.test(sel) ? Number(sel) : null,
    pairs: params.get("pairs") === "1",
  };
}

export function copyable(of: Page, state: State, mark: number | null, project: ProjectInfo | undefined): Copyable {
  const path = project?.path ?? "PROJECT";
  const { query, system } = state;
  const id = of.passage_id;
  const json = `/api/passage?${new URLSearchParams({ id })}`;
  const lines = (call: string) => `import unweave as uw\nuw.Project.open(${python(path)}).${call}`;
  const command = (verb: string, ...args: string[]) => `unweave ${verb} -- ${args.map(quoted).join(" ")}`;
  const factors = Object.fromEntries(state.boost.map((one) => one.split(":").map(Number)));
  const steering = state.boost.length > 0 ? `, steering=uw.Steering(boosts=${python(factors)})` : "";
  const unsteered = steering && "  # without the boosts, which Python takes";
  if (query && state.pairs)
    return {
      command: command("explain --by-words", path, query, id),
      python: lines(`by_words(${python(query)}, ${python(id)})`),
      json: `/api/pairs?${new URLSearchParams({ q: query, passage: id })}`,
    };
  if (query)
    return {
      command:
        command(system === "dense" ? "explain" : `explain --system ${quoted(system)}`, path, query, id) + unsteered,
      python: lines(`explain(${python(query)}, ${python(id)}, system=${python(system)}${steering})`),
      json,
    };
  if (mark !== null)
    return {
      command: command("carrying", path, id, String(mark)),
      python: lines(`carrying(${python(id)}, ${mark})`),
      json,
    };
  return { command: command("paths", path, id), python: lines(`paths(${python(id)})`), json };
}
