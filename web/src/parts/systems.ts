/** What systems, and sums of them, are called where people read them. */

const CALLED: Record<string, string> = { dense: "Dense", codes: "Concept codes", tokens: "Token concepts" };

export function calledSystem(system: string): string {
  return system
    .split(" + ")
    .map((term) => {
      const [, weight = "", name = term, rank = ""] = /^(\d*\.?\d+\s+)?(.*?)( by rank)?$/.exec(term) ?? [];
      return weight + (CALLED[name] ?? name) + rank;
    })
    .join(" + ");
}
