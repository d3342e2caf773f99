/** Sums of systems, by the names that the server knows. */

export interface Sum {
  weights: Map<string, number>;
  byRank: boolean;
}

/** A sum's name read; null of a system that is none. */
export function sumOf(system: string): Sum | null {
  const byRank = system.endsWith(" by rank");
  const terms = (byRank ? system.slice(0, -" by rank".length) : system).split("+").map((term) => term.trim());
  if (terms.length < 2) return null;
  const pairs = terms.map((term): [string, number] => {
    const [, weight, name] = /^(?:(\d*\.?\d+)\s+)?(\S.*)$/.exec(term) ?? [];
    return [name ?? term, weight === undefined ? 1 : Number(weight)];
  });
  return { weights: new Map(pairs), byRank };
}

export function nameOf({ weights, byRank }: Sum): string {
  const terms = [...weights].map(([system, weight]) => (weight === 1 ? system : `${weight} ${system}`));
  return terms.join(" + ") + (byRank ? " by rank" : "");
}

/** The systems of the select: those of the project, two sums that are worth trying, and the one that is shown. */
export function offered(systems: readonly string[], shown: string): string[] {
  const all = [
    ...["dense", "BM25", "CL-SR", "codes", "tokens"].filter((system) => systems.includes(system)),
    ...systems.filter((system) => !["dense", "BM25", "CL-SR", "codes", "tokens"].includes(system)),
  ];
  if (systems.includes("BM25") && systems.includes("codes")) all.push("BM25 + 2 codes");
  if (systems.includes("BM25") && systems.includes("dense")) all.push("BM25 + dense");
  if (!all.includes(shown)) all.push(shown);
  return all;
}

/** Whether boosts and bans bend a system; a sum is bent if one of its systems is. */
export function isSteerable(system: string, steerable: Record<string, string[]>): boolean {
  const parts = [...(sumOf(system)?.weights.keys() ?? [system])];
  const numbered = parts.filter((part) => steerable[part]?.includes("boosts"));
  // Concepts of tokens and of texts have numbers of their own: a number would mean two of them.
  return numbered.length > 0 && !(numbered.includes("tokens") && numbered.length > 1);
}
