/** Which job to begin; naming by a language model first says what it would take. */
import { useState } from "preact/hooks";
import { api, asked, type Refused, type Shape } from "../../api/client";
import { type Loaded, useLoaded } from "../../api/use";
import { Dialog } from "../../parts/dialog";
import { type Asked, begin, type Jobs, type Kind } from "../../parts/jobs";
import { nameOfKind } from "../../parts/jobwords";
import { Failed, Lines } from "../../parts/states";
import { Money } from "./money";

const BY_MODEL = "name by language-model";

const DOES: Record<string, string> = {
  embed: "Embeds texts that are new.",
  fit: "Trains the dictionary on from what there is.",
  tokens: "Learns concepts of single tokens.",
  name: "Gathers evidence for every concept and names it by phrases of its texts; costs nothing.",
  [BY_MODEL]: "Asks the language model of the settings; may cost money, and says so first.",
  judge: "Tests names on texts that no namer has seen; decides their marks.",
  index: "Builds what search reads.",
  evaluate: "Ranks the corpus for every judged query with every system.",
  audit: "Tests the dense retriever for what it gets wrong, and checks each claim.",
  faithfulness: "Tests whether explanations name causes.",
  map: "Places concepts and passages on the map.",
};

export function StartJob({ jobs, onClose }: { jobs: Jobs; onClose: () => void }) {
  const choices = jobs.kinds.flatMap((kind) => (kind === "name" ? [kind, BY_MODEL] : [kind]));
  const [choice, choose] = useState(choices[0] ?? "");
  const [most, setMost] = useState("");
  const [error, fail] = useState<Refused>();
  const paid = choice === BY_MODEL;
  const number = /^[1-9]\d{0,8}$/.test(most) ? Number(most) : null;
  const forecast = useLoaded(paid ? `forecast ${number}` : null, (signal) =>
    asked(api.GET("/api/jobs/forecast", { params: { query: number === null ? {} : { most: number } }, signal })),
  );
  // What may cost money is begun only by those who were told what it would.
  const untold = paid && (forecast.loading || !forecast.data);
  const start = () => {
    const what: Asked = paid ? { kind: "name", namer: "language-model", most: number } : { kind: choice as Kind };
    begin(what).then(onClose, fail);
  };
  return (
    <Dialog title="Start a job" onClose={onClose}>
      <fieldset class="kinds">
        <legend class="vh">Which job</legend>
        {choices.map((kind) => (
          <label key={kind}>
            <input type="radio" name="kind" checked={kind === choice} onChange={() => choose(kind)} />
            <span>
              {kind === BY_MODEL ? "Naming with a language model" : nameOfKind(kind)}
              <small>{DOES[kind]}</small>
            </span>
          </label>
        ))}
      </fieldset>
      {paid && (
        <div class="forecast">
          <label>
            Concepts at most, the most frequent first{" "}
            <input
              class="field s"
              inputMode="numeric"
              placeholder="all"
              value={most}
              onInput={(event) => setMost(event.currentTarget.value.trim())}
            />
          </label>
          <Forecast of={forecast} />
          {jobs.spent && <Money spent={jobs.spent} />}
        </div>
      )}
      {error && <Failed error={error} />}
      <p>
        <button type="button" class="btn primary" disabled={untold} onClick={start}>
          {paid ? "Ask the language model" : "Start"}
        </button>
      </p>
    </Dialog>
  );
}

function Forecast({ of }: { of: Loaded<Shape<"Forecast">> }) {
  if (of.error) return <Failed error={of.error} onRetry={of.reload} />;
  if (!of.data)
    return of.slow ? (
      <div>
        <p role="status">It counts what that would take; nothing is sent.</p>
        <Lines n={3} height={14} />
      </div>
    ) : null;
  return (
    <ul class={of.loading ? "old" : ""}>
      {of.data.said.map((line) => (
        <li key={line}>{line}</li>
      ))}
    </ul>
  );
}
