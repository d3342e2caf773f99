/** What part of the scores named concepts carry: sums of |value|, bias and residual included, the mean over the hits. */
import { type Account, isNamed, type Kind } from "./groups";

export interface Carried {
  /** Part of all, by `kind`, or `slot:LATENT` for a slot. */
  of: Map<string, number>;
  /** How many different concepts or words each kind has in these hits. */
  n: Map<Kind, number>;
  /** Of words, and of concepts whose names hold. */
  named: number;
}

export function carried(hits: Account[][]): Carried {
  const of = new Map<string, number>();
  const members = new Map<Kind, Set<number>>();
  let named = 0;
  let counted = 0;
  for (const accounts of hits) {
    const pieces = accounts.flatMap((account) => account.pieces);
    const all = pieces.reduce((sum, p) => sum + p.adds + p.takes, 0);
    if (all > 0) counted += 1;
    for (const p of pieces) {
      const part = all > 0 ? (p.adds + p.takes) / all : 0;
      const key = p.kind === "slot" ? `slot:${p.latent}` : p.kind;
      of.set(key, (of.get(key) ?? 0) + part);
      if (isNamed(p)) named += part;
      const known = members.get(p.kind) ?? new Set<number>();
      for (const c of p.of) known.add(c.latent);
      members.set(p.kind, known);
    }
  }
  const mean = (sum: number) => (counted ? sum / counted : 0);
  return {
    of: new Map([...of].map(([key, sum]) => [key, mean(sum)])),
    n: new Map([...members].map(([kind, latents]) => [kind, latents.size])),
    named: mean(named),
  };
}
