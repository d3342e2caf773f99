/** Which concepts the table shows, and in which order: from the address, for the server, and as lines to copy. */
import { address } from "../../address";
import type { Shape } from "../../api/client";
import type { paths } from "../../api/schema";
import { type Copyable, python, quoted } from "../../parts/copy";
import type { Trust } from "../../parts/mark";

type Asked = NonNullable<paths["/api/concepts"]["get"]["parameters"]["query"]>;
export type Row = Shape<"ConceptRow">;
export type Sort = NonNullable<Asked["sort"]>;

export interface Query {
  /** In the name, or a number. */
  words: string;
  /** Only concepts that this text activates. */
  text: string;
  /** One of these marks; none: any. */
  trust: Trust[];
  returns: boolean | null;
  /** This remark. */
  flag: string | null;
  /** Any remark. */
  flagged: boolean;
  sort: Sort;
  descending: boolean;
}

export const TRUSTS: Trust[] = ["confirmed", "holds", "vague", "none", "unscored"];
const SORTS: Sort[] = ["latent", "name", "trust", "df", "strongest", "holds", "detection", "returns", "activation"];
const RISING: Sort[] = ["latent", "name"];

export function readQuery(params: URLSearchParams): Query {
  const text = params.get("text") ?? "";
  const sort = SORTS.find((one) => one === params.get("sort"));
  const known = sort === undefined || (sort === "activation" && !text) ? (text ? "activation" : "df") : sort;
  const given = new Set((params.get("trust") ?? "").split(","));
  const returns = params.get("returns");
  return {
    words: params.get("words") ?? "",
    text,
    trust: TRUSTS.filter((trust) => given.has(trust)),
    returns: returns === "true" ? true : returns === "false" ? false : null,
    flag: params.get("flag"),
    flagged: params.get("flagged") === "true",
    sort: known,
    descending: params.has("descending") ? params.get("descending") !== "false" : !RISING.includes(known),
  };
}

/** Parameters of an address that shows the table sorted by a column: the other way round if it is that already. */
export function sorted(query: Query, by: Sort): { sort: Sort; descending: string } {
  const descending = query.sort === by ? !query.descending : !RISING.includes(by);
  return { sort: by, descending: String(descending) };
}

/** Whether rows are left out. */
export function filters(query: Query): boolean {
  return Boolean(
    query.words || query.text || query.trust.length || query.returns !== null || query.flag || query.flagged,
  );
}

/** What the server is asked. */
export function forServer(query: Query): Asked {
  const { words, text, trust, returns, flag, flagged, sort, descending } = query;
  return {
    sort,
    descending,
    ...(words && { words }),
    ...(text && { text }),
    ...(trust.length > 0 && { trust }),
    ...(returns !== null && { returns }),
    ...(flag !== null && { flag }),
    ...(flagged && { flagged }),
  };
}

/** Python has no sorting: whoever goes on in it has a key of their own. */
export function copyable(query: Query, path: string): Copyable {
  const { trust, words, flag, flagged, text } = query;
  const command = ["unweave concepts list", quoted(path), ...options(query)].join(" ");
  const conditions = [
    ...(text ? ["c.latent in active"] : []),
    ...words
      .split(/\s+/)
      .filter(Boolean)
      .map((word) => `${python(word.toLowerCase())} in (c.name or "").casefold()`),
    ...(words ? ['c.trust != "none"'] : []),
    ...(trust.length > 0 ? [`c.trust in ${python(trust)}`] : []),
    ...(query.returns === null ? [] : [`c.returns is ${python(query.returns)}`]),
    ...(flag ? [`c.flag == ${python(flag)}`] : []),
    ...(flagged ? ["c.flag is not None"] : []),
  ];
  const list = `[c for c in project.concepts.by_document_frequency()${
    conditions.length > 0 ? ` if ${conditions.join(" and ")}` : ""
  }]`;
  const lines = ["import unweave as uw", "", `project = uw.Project.open(${python(path)})`];
  if (text) lines.push(`active = project.activated(${python(text)})`);
  const { trust: marks, ...rest } = forServer(query);
  const json = address("/api/concepts", rest as Record<string, string>);
  const several = (marks ?? []).map((mark) => `&trust=${mark}`).join("");
  return { command, python: [...lines, list].join("\n"), json: `${json}${several}` };
}

/** The options of `unweave concepts list` that say the same. */
function options({ words, text, trust, returns, flag, flagged, sort, descending }: Query): string[] {
  return [
    ...(words ? [`--grep=${quoted(words)}`] : []),
    ...(text ? [`--text=${quoted(text)}`] : []),
    ...trust.map((mark) => `--trust ${mark}`),
    ...(returns === null ? [] : [returns ? "--returns" : "--no-returns"]),
    ...(flag ? [`--flag=${quoted(flag)}`] : []),
    ...(flagged ? ["--flagged"] : []),
    ...(sort === (text ? "activation" : "df") ? [] : [`--sort ${sort}`]),
    ...(descending ? [] : ["--ascending"]),
  ];
}
