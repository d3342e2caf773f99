/** Which passages several systems share, and where each has them. */

export interface Column {
  system: string;
  /** Ids of its hits, the best first. */
  ids: readonly string[];
}

/** How many of a column's hits another has, too. */
export function shared(of: readonly string[], other: readonly string[]): number {
  const known = new Set(other);
  return of.filter((id) => known.has(id)).length;
}

/** 1st, 2nd, 3rd, 4th, 11th … */
export function ordinal(n: number): string {
  const teens = n % 100 >= 11 && n % 100 <= 13;
  return `${n}${teens ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th")}`;
}

/** Where other systems have a passage: "also 3rd in dense and 1st in BM25", or that none has. */
export function elsewhere(id: string, mine: string, columns: readonly Column[]): string {
  const found = columns
    .filter((column) => column.system !== mine)
    .flatMap(({ system, ids }) => (ids.includes(id) ? [`${ordinal(ids.indexOf(id) + 1)} in ${system}`] : []));
  if (found.length === 0) return columns.length > 1 ? "in no other" : "";
  return `also ${found.join(", ")}`;
}

/** Where each system has a passage, for the line above the columns. */
export function ranks(id: string, columns: readonly Column[]): (number | null)[] {
  return columns.map(({ ids }) => (ids.includes(id) ? ids.indexOf(id) + 1 : null));
}

const MOST = 4;
const FIRST = ["dense", "BM25", "CL-SR", "codes"];

/** The systems that are shown: those of the address that there are; else the usual four, then what else there is. */
export function chosen(asked: string | null, known: readonly string[]): string[] {
  // A sum is given by its name, and searched with though no list has it.
  const given = (asked ?? "").split(",").filter((system) => known.includes(system) || system.includes("+"));
  if (given.length > 0) return [...new Set(given)].slice(0, MOST);
  return [...new Set([...FIRST.filter((system) => known.includes(system)), ...known])].slice(0, MOST);
}
