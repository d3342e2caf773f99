/** Every namer's name for a concept, side by side, with what judges found of each. */
import { figure, share } from "../../parts/figures";
import { Mark } from "../../parts/mark";
import { Whisker } from "../../parts/whisker";
import type { Card, Editing } from "./view";

type Named = Card["names"][number];

const NAMERS: Record<string, string> = {
  person: "a person",
  curated: "a reader",
  "language-model": "language model",
  dictionary: "the dictionary’s maker",
  keyphrases: "keyphrases",
  lexicon: "lexicon",
  vocabulary: "vocabulary",
};

export function Names({ card, editing }: { card: Card; editing: Editing }) {
  if (card.names.length === 0) return null;
  return (
    <section class="block" aria-labelledby="names">
      <header>
        <h2 id="names">Names</h2>
        <span class="small faint">
          The one in use comes first. Detection: of unseen texts, the share that the name sorts rightly; 0.5 is chance.
        </span>
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls sideways on a narrow screen */}
      <section class="scrolls" aria-label="Names by namer" tabIndex={0}>
        <table class="ledger keep names">
          <caption class="vh">Names by namer</caption>
          <thead>
            <tr>
              <th scope="col">Name</th>
              <th scope="col">Namer</th>
              <th scope="col">Mark</th>
              <th scope="col" class="num">
                Holds from
              </th>
              <th scope="col" class="only-wide-cell">
                Detection, with its interval
              </th>
              <th scope="col" class="num">
                Beats nulls
              </th>
              <th scope="col">
                <span class="vh">Action</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {card.names.map((named) => (
              <Line key={named.namer} named={named} editing={editing} latent={card.row.latent} />
            ))}
          </tbody>
        </table>
      </section>
    </section>
  );
}

function Line({ named, editing, latent }: { named: Named; editing: Editing; latent: number }) {
  const score = (judge: string) => named.scores.find((one) => one.judge === judge);
  const nulls = score("over-nulls");
  const elsewhere = score("over-nulls-elsewhere");
  return (
    <tr>
      <td>
        {named.name === null ? (
          <span class="nm-none">found none</span>
        ) : named.in_use ? (
          <b>
            <bdi>{named.name}</bdi>
          </b>
        ) : (
          <bdi>{named.name}</bdi>
        )}
        {named.description && (
          <span class="faint described-small">
            <bdi>{named.description}</bdi>
          </span>
        )}
      </td>
      <td class="mute">
        {NAMERS[named.namer] ?? named.namer}
        {named.kept && (
          <span
            class="faint"
            title="Made, and judged, from the texts of an earlier training, or of a dictionary’s maker"
          >
            , kept
          </span>
        )}
      </td>
      <td>{named.name !== null && <Mark trust={named.trust} words />}</td>
      <td class="num">{named.holds_from === null ? "–" : named.holds_from === 0 ? "any" : figure(named.holds_from)}</td>
      <td class="only-wide-cell">
        <Detection of={score("detection")} />
      </td>
      <td class="num">
        {nulls ? (
          share(nulls.value)
        ) : elsewhere ? (
          <span title="On the texts of the dictionary’s maker">{share(elsewhere.value)} there</span>
        ) : (
          "–"
        )}
      </td>
      <td class="num">
        {named.in_use ? (
          <span class="small faint">in use</span>
        ) : (
          named.name !== null &&
          !editing.readOnly && (
            <button
              type="button"
              class="btn quiet s"
              title="Make it the name in use, as a person’s choice"
              onClick={() => editing.change({ action: "use", latents: [latent], namer: named.namer })}
            >
              Use<span class="vh"> {named.name}</span>
            </button>
          )
        )}
      </td>
    </tr>
  );
}

function Detection({ of }: { of: Named["scores"][number] | undefined }) {
  if (!of) return <span class="faint">not judged</span>;
  return (
    <span class="detected">
      <Whisker value={of.value} low={of.low} high={of.high} chance={0.5} />
      <span>{figure(of.value, 2)}</span>
      <span class="faint">
        {figure(of.low, 2)} to {figure(of.high, 2)}, {of.n} texts
      </span>
    </span>
  );
}
