/** What is known of concepts and words while the page is open: asked for once each, after the hits are there. */
import { useEffect, useState } from "preact/hooks";
import { api, asked, type Shape } from "../../api/client";
import type { NamedConcept } from "../../parts/name";
import { contributionsOf, type Explanation } from "../../score/groups";

type MarkedText = Shape<"MarkedText">;

/** Passages and concepts of one request, at most. */
const MOST = 20;

/** By passage and concept; null: asked, and the passage does not activate it. */
const words = new Map<string, MarkedText | null>();
const asking = new Set<string>();
const waiting = new Set<() => void>();
const keyOf = (passage: string, latent: number) => `${latent} ${passage}`;

/** Words of some passages by some concepts, as far as they are there; `null` asks for nothing. */
export function useWords(
  passages: string[] | null,
  latents: number[],
): (passage: string, latent: number) => MarkedText | null {
  const [, renew] = useState(0);
  const wanted = latents.slice(0, MOST);
  const key = passages === null ? "" : `${passages.join("\n")}\n${wanted.join(" ")}`;
  useEffect(() => {
    // What another result asked for counts as well: whoever waits is told of all that comes.
    const told = () => renew((n) => n + 1);
    waiting.add(told);
    if (passages && wanted.length) for (const [some, of] of requests(passages, wanted)) ask(some, of);
    return () => {
      waiting.delete(told);
    };
  }, [key]);
  return (passage, latent) => words.get(keyOf(passage, latent)) ?? null;
}

/** Passages that lack the same concepts are asked for together. */
function requests(passages: string[], latents: number[]): [string[], number[]][] {
  const byMissing = new Map<string, [string[], number[]]>();
  for (const passage of passages) {
    const missing = latents.filter(
      (latent) => !words.has(keyOf(passage, latent)) && !asking.has(keyOf(passage, latent)),
    );
    if (missing.length === 0) continue;
    const group = byMissing.get(missing.join(" ")) ?? [[], missing];
    group[0].push(passage);
    byMissing.set(missing.join(" "), group);
  }
  return [...byMissing.values()].flatMap(([all, missing]) =>
    Array.from({ length: Math.ceil(all.length / MOST) }, (_, i): [string[], number[]] => [
      all.slice(i * MOST, (i + 1) * MOST),
      missing,
    ]),
  );
}

async function ask(passages: string[], latents: number[]): Promise<void> {
  const keys = passages.flatMap((passage) => latents.map((latent) => keyOf(passage, latent)));
  for (const key of keys) asking.add(key);
  try {
    const found = await asked(api.GET("/api/words", { params: { query: { passage: passages, latent: latents } } }));
    for (const key of keys) words.set(key, null);
    for (const one of found.marked) words.set(keyOf(one.key, one.latent), one);
  } catch {
    // Texts without marked words are still texts; the next view of them asks anew.
  } finally {
    for (const key of keys) asking.delete(key);
    for (const told of waiting) told();
  }
}

const names = new Map<number, NamedConcept>();
/** Concepts that a score was seen to count as unnamed: their names hold nowhere. */
const unnamed = new Set<number>();

/** Names of concepts: those of the hits are there, others are asked for. */
export function useNames(latents: number[], explanations: Explanation[]): (latent: number) => NamedConcept {
  const [, renew] = useState(0);
  for (const c of explanations.flatMap(contributionsOf)) {
    if (c.group === null || c.latent < 0) continue;
    names.set(c.latent, c);
    if (c.group === "unnamed") unnamed.add(c.latent);
    else unnamed.delete(c.latent);
  }
  const missing = latents.filter((latent) => !names.has(latent));
  useEffect(() => {
    let shown = true;
    for (const latent of missing)
      asked(api.GET("/api/concepts/{latent}", { params: { path: { latent } } }))
        .then(({ row }) => {
          names.set(latent, row);
          if (shown) renew((n) => n + 1);
        })
        .catch(() => {}); // a number without a concept is shown as a number
    return () => {
      shown = false;
    };
  }, [missing.join(" ")]);
  return (latent) => names.get(latent) ?? { latent, name: null, trust: null };
}

/** Whether a concept has a name that holds somewhere, as far as is known. */
export function isNamed(latent: number): boolean {
  const trust = names.get(latent)?.trust ?? null;
  return !unnamed.has(latent) && trust !== null && trust !== "none" && trust !== "unscored";
}

/** A concept that was found elsewhere, so that its name is there at once. */
export function learn(concept: NamedConcept): void {
  names.set(concept.latent, concept);
}
