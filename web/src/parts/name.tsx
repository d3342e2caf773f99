/** A concept's name wherever it stands: with its mark, isolated from other text, never a name that does not hold. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { address } from "../address";
import { Mark, Returns, type Trust } from "./mark";

export interface NamedConcept {
  latent: number;
  name: string | null;
  trust: Trust | null;
  returns?: boolean | null;
}

/** Whether names lead to their concepts' pages: not in a report, which has no such pages. */
export const Linked = createContext(true);

/** What a concept is called in a sentence. */
export function called(concept: { latent: number; name: string | null; trust: Trust | null }): string {
  return concept.name === null || concept.trust === "none" ? `No name holds #${concept.latent}` : concept.name;
}

export function ConceptName({ of, link = true, mark = true }: { of: NamedConcept; link?: boolean; mark?: boolean }) {
  const linked = useContext(Linked) && link;
  const nameless = of.name === null || of.trust === "none";
  const words = nameless ? <span class="nm-none">No name holds #{of.latent}</span> : <bdi class="nm">{of.name}</bdi>;
  return (
    <>
      {linked ? (
        <a class="plain" href={address(`/concepts/${of.latent}`)}>
          {words}
        </a>
      ) : (
        words
      )}
      {mark && (
        <>
          {" "}
          <Mark trust={of.trust} /> <Returns returns={of.returns} />
        </>
      )}
    </>
  );
}
