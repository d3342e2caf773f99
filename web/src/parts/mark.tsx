/** How far a name is to be trusted, and whether its concept returns: a shape always, words where there is room. */
import type { Shape } from "../api/client";

export type Trust = Shape<"ConceptRow">["trust"];

const SAID: Record<Trust, [words: string, means: string]> = {
  confirmed: ["Confirmed", "A person gave or confirmed this name."],
  holds: ["Holds", "Judged on unseen texts: better than 95 % of names of meaningless directions."],
  vague: ["Vague", "Better than chance, but not better than most names of meaningless directions."],
  none: ["No name holds", "Judged, and this name does no better than chance."],
  unscored: ["Not judged", "Nobody judged this name yet, or too few texts activate the concept."],
};

function Sign({ trust }: { trust: Trust }) {
  return (
    <svg viewBox="0 0 12 12" aria-hidden="true">
      {trust === "confirmed" && (
        <>
          <circle cx="6" cy="6" r="5.4" fill="currentColor" />
          <path d="M3.4 6.2l1.8 1.8 3.4-3.8" fill="none" stroke="var(--bg)" stroke-width="1.4" />
        </>
      )}
      {trust === "holds" && <circle cx="6" cy="6" r="5" fill="currentColor" />}
      {trust === "vague" && (
        <>
          <circle cx="6" cy="6" r="4.4" fill="none" stroke="currentColor" stroke-width="1.3" />
          <path d="M6 1.6a4.4 4.4 0 0 0 0 8.8z" fill="currentColor" />
        </>
      )}
      {trust === "none" && <circle cx="6" cy="6" r="4.4" fill="none" stroke="currentColor" stroke-width="1.3" />}
      {trust === "unscored" && (
        <circle cx="6" cy="6" r="4.4" fill="none" stroke="currentColor" stroke-width="1.3" stroke-dasharray="1.9 1.5" />
      )}
    </svg>
  );
}

/** The mark of a name; its words are read aloud even where they are not shown. */
export function Mark({ trust, words = false }: { trust: Trust | null | undefined; words?: boolean }) {
  const of = trust ?? "unscored";
  const [said, means] = SAID[of];
  return (
    <span class="mk" title={`${said}. ${means}`}>
      <Sign trust={of} />
      <span class={words ? "" : "vh"}>{said}</span>
    </span>
  );
}

export function Returns({ returns, words = false }: { returns: boolean | null | undefined; words?: boolean }) {
  if (returns === null || returns === undefined) return null;
  const said = returns ? "Returns" : "Does not return";
  const means = returns
    ? "Another run, from another seed, found this concept again."
    : "Another run, from another seed, did not find this concept again: it is no finding.";
  if (!returns && !words) return <span class="vh">{said}</span>;
  return (
    <span class="mk" title={`${said}. ${means}`}>
      <svg viewBox="0 0 12 12" aria-hidden="true" class={returns ? "" : "not"}>
        <path
          d="M2 5.2a4.2 4.2 0 0 1 7.6-1.7M10 6.8a4.2 4.2 0 0 1-7.6 1.7M9.8 1v2.8H7M2.2 11V8.2H5"
          fill="none"
          stroke="currentColor"
          stroke-width="1.2"
        />
        {!returns && <path d="M1 11L11 1" stroke="currentColor" stroke-width="1.2" />}
      </svg>
      <span class={words ? "" : "vh"}>{said}</span>
    </span>
  );
}
