/** The dialog that merges concepts into another: which one, and what then happens. */
import { useState } from "preact/hooks";
import { api, asked, type Shape } from "../api/client";
import { useLoaded } from "../api/use";
import { Dialog } from "./dialog";
import { counted, figure } from "./figures";
import { Mark, type Trust } from "./mark";
import { called } from "./name";

interface One {
  latent: number;
  name: string | null;
  trust: Trust | null;
  /** Passages, where they are known. */
  df?: number;
  cosine?: number;
}

const SHOWN = 6;

export function MergeDialog(props: {
  of: Shape<"ConceptRow">[];
  /** Suggestions, the closest first. */
  near: Shape<"RelatedConcept">[];
  onClose: () => void;
  onMerge: (into: number) => void;
}) {
  const [words, type] = useState("");
  const [chosen, choose] = useState<One | null>(null);
  const mine = new Set(props.of.map((row) => row.latent));
  const query = { words: words.trim(), limit: SHOWN + mine.size, sort: "df", descending: true } as const;
  const found = useLoaded(words.trim() ? `merge ${words.trim()}` : null, (signal) =>
    asked(api.GET("/api/concepts", { params: { query }, signal })),
  );
  const seen = new Set<number>();
  const others: One[] = found.data?.rows.map((row) => ({ ...row, df: row.document_frequency })) ?? [];
  const near: One[] = props.near.map(({ other, name, trust, weight }) => ({
    latent: other,
    name,
    trust,
    cosine: weight,
  }));
  const offered = (words.trim() ? others : near)
    .filter(({ latent }) => !mine.has(latent) && !seen.has(latent) && seen.add(latent))
    .slice(0, SHOWN);
  const merge = () => {
    if (chosen === null) return;
    props.onMerge(chosen.latent);
    props.onClose();
  };
  const first = props.of[0];
  const from = props.of.length === 1 && first ? String(first.latent) : counted(props.of.length, "concept");
  return (
    <Dialog
      title="Merge into another concept"
      onClose={props.onClose}
      closing="Cancel"
      foot={
        <button type="button" class="btn primary" disabled={chosen === null} onClick={merge}>
          {chosen ? `Merge ${from} into ${chosen.latent}` : "Choose a concept"}
        </button>
      }
    >
      <p class="mute">
        {props.of.length === 1 ? "Its" : "Their"} contributions are added up under the other concept’s name. Scores do
        not change. You can undo this at any time.
      </p>
      <label class="small mute merge-field">
        Other concept: words of its name, or its number
        <input
          class="field"
          type="search"
          dir="auto"
          value={words}
          onInput={(event) => type(event.currentTarget.value)}
        />
      </label>
      <ul class="rel pick" aria-label={words.trim() ? "Concepts with these words" : "The closest concepts"}>
        {offered.map((one) => (
          <li key={one.latent} class={chosen?.latent === one.latent ? "on" : undefined}>
            <label>
              <input type="radio" name="into" checked={chosen?.latent === one.latent} onChange={() => choose(one)} />{" "}
              <bdi class={one.trust === "none" || one.name === null ? "nm-none" : undefined}>{called(one)}</bdi>
            </label>
            <Mark trust={one.trust} />
            <span class="small faint">{one.df === undefined ? "cosine" : counted(one.df, "passage")}</span>
            <span class="num small">{one.cosine === undefined ? `#${one.latent}` : figure(one.cosine, 2)}</span>
          </li>
        ))}
      </ul>
      {words.trim() && found.data && offered.length === 0 && <p class="mute">No name has these words in it.</p>}
      {found.error && words.trim() && <p class="mute">{found.error.message}</p>}
      {chosen && (
        <p class="small merge-said">
          {props.of.length === 1 && first ? (
            <>
              <b>
                <bdi>{called(first)}</bdi>
              </b>{" "}
              (#{first.latent}, {counted(first.document_frequency, "passage")}) will be shown as{" "}
            </>
          ) : (
            <>{counted(props.of.length, "concept")} will be shown as </>
          )}
          <b>
            <bdi>{called(chosen)}</bdi>
          </b>{" "}
          (#{chosen.latent}
          {chosen.df !== undefined && `, ${counted(chosen.df, "passage")}`}).
        </p>
      )}
    </Dialog>
  );
}
