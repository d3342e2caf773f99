/** The top of a concept's page: its name with what is to be known first, and what can be done with it. */
import { useRef, useState } from "preact/hooks";
import { address } from "../../address";
import { useKeys } from "../../keys";
import { count, figure } from "../../parts/figures";
import { Mark, Returns } from "../../parts/mark";
import { MergeDialog } from "../../parts/merge";
import { called } from "../../parts/name";
import { useProject } from "../../project";
import { FlagForm, RenameForm } from "./forms";
import type { Card, Editing } from "./view";

type Doing = "rename" | "flag" | "merge";

export function Head({ card, editing }: { card: Card; editing: Editing }) {
  const { row } = card;
  const [doing, set] = useState<Doing | null>(null);
  const buttons = useRef<Partial<Record<Doing, HTMLButtonElement | null>>>({});
  const button = (what: Doing) => (element: HTMLButtonElement | null) => {
    buttons.current[what] = element;
  };
  // The form goes, and the focus with it, unless it goes back to the button that opens the form.
  const stop = () => {
    if (doing) buttons.current[doing]?.focus();
    set(null);
  };
  const confirmed = row.namer === "person";
  const locking = () => editing.change({ action: confirmed ? "unlock" : "lock", latents: [row.latent] });
  const start = (what: Doing) => () => {
    if (!editing.readOnly) set(what);
  };
  useKeys([
    { on: "e", shown: "E", does: "Rename the concept", run: start("rename") },
    { on: "l", shown: "L", does: "Lock its name, or unlock it", run: () => !editing.readOnly && locking() },
    { on: "f", shown: "F", does: "Leave a remark on the concept", run: start("flag") },
    { on: "m", shown: "M", does: "Merge it into another", run: start("merge") },
    { on: "Escape", shown: "Esc", does: "Leave the form", run: stop, inFields: true },
  ]);
  const why = editing.readOnly ? "This server only reads." : undefined;
  return (
    <>
      <div class="chead">
        <div>
          {doing === "rename" ? (
            <>
              <h1 class="vh">{called(row)}</h1>
              <RenameForm card={card} editing={editing} onDone={stop} />
            </>
          ) : (
            <Title card={card} />
          )}
          {doing === "flag" && <FlagForm card={card} editing={editing} onDone={stop} />}
          <Facts card={card} />
        </div>
        <div class="acts">
          <button
            class="btn"
            type="button"
            ref={button("rename")}
            disabled={editing.readOnly}
            title={why}
            onClick={start("rename")}
          >
            Rename <span class="kbd">E</span>
          </button>
          <button
            class="btn"
            type="button"
            disabled={editing.readOnly}
            title={why ?? (confirmed ? "Show a namer’s name again" : "Confirm the name: no namer replaces it")}
            onClick={locking}
          >
            {confirmed ? "Unlock" : "Lock"} <span class="kbd">L</span>
          </button>
          <button
            class="btn"
            type="button"
            ref={button("flag")}
            disabled={editing.readOnly}
            title={why}
            onClick={start("flag")}
          >
            Flag <span class="kbd">F</span>
          </button>
          <button
            class="btn"
            type="button"
            ref={button("merge")}
            disabled={editing.readOnly}
            title={why}
            onClick={start("merge")}
          >
            Merge … <span class="kbd">M</span>
          </button>
          <a class="btn primary" href={address("/search", { q: asQuery(card), sel: row.latent })}>
            Search with it
          </a>
        </div>
      </div>
      <Notes card={card} editing={editing} onRename={start("rename")} />
      {doing === "merge" && (
        <MergeDialog
          of={[row]}
          near={card.related.filter((one) => one.relation === "duplicate" || one.relation === "neighbour")}
          onClose={stop}
          onMerge={(into) => editing.change({ action: "merge", latents: [row.latent], into })}
        />
      )}
    </>
  );
}

/** What is searched for with a concept: its name, or, where none holds, the text that shows it best. */
function asQuery({ row, examples }: Card): string {
  if (row.name !== null && row.trust !== "none") return row.name;
  const best = examples[0];
  return best ? best.title || best.text.slice(0, 120) : `#${row.latent}`;
}

function Title({ card: { row, names } }: { card: Card }) {
  if (row.name === null || row.trust === "none") return <h1 class="nm-none">No name holds</h1>;
  const description = names.find((one) => one.in_use)?.description;
  return (
    <>
      <h1>
        <bdi>{row.name}</bdi>
      </h1>
      {description && (
        <p class="described">
          <bdi>{description}</bdi>
        </p>
      )}
    </>
  );
}

function Facts({ card: { row, agreement } }: { card: Card }) {
  const { data } = useProject();
  return (
    <div class="facts">
      <span>
        <Mark trust={row.trust} words />
      </span>
      {row.returns !== null && (
        <span>
          <Returns returns={row.returns} words />
        </span>
      )}
      {agreement !== null && (
        <span title="Cosine of its direction and that of its twin, the closest of another run">
          agreement with its twin <b>{figure(agreement, 2)}</b>
        </span>
      )}
      <span>
        in <b>{count(row.document_frequency)}</b>
        {data && ` of ${count(data.n_passages)}`} passages
      </span>
      <span>
        strongest <b>{figure(row.strongest)}</b>
      </span>
      {row.holds_from !== null && row.holds_from > 0 && (
        <span>
          holds from <b>{figure(row.holds_from)}</b>
        </span>
      )}
      {row.flag !== null && (
        <a class="tag" href={address("/concepts", { flag: row.flag })} title="All concepts with this remark">
          flag
          <b>
            <bdi>{row.flag}</bdi>
          </b>
        </a>
      )}
    </div>
  );
}

/** What has to be said before anything else: that it is merged, or that no name holds. */
function Notes(props: { card: Card; editing: Editing; onRename: () => void }) {
  const { row, names, edits } = props.card;
  if (row.merged_into !== null) {
    const merge = edits.find((edit) => edit.action === "merge" && !edit.undone);
    return (
      <div class="strip note">
        <span>
          Merged into{" "}
          <a href={address(`/concepts/${row.merged_into}`)}>
            <bdi>{row.name ?? `#${row.merged_into}`}</bdi>
          </a>{" "}
          (#{row.merged_into}): its contributions are added up under that name.
        </span>
        {merge && !props.editing.readOnly && (
          <span class="acts">
            <button type="button" class="btn s" onClick={() => props.editing.undo(merge.number)}>
              Undo the merge
            </button>
          </span>
        )}
      </div>
    );
  }
  if (row.name !== null && row.trust !== "none") return null;
  const best = names.find((one) => one.name !== null)?.name;
  return (
    <div class="strip note">
      <span>
        {best ? (
          <>
            The best candidate,{" "}
            <b>
              <bdi>{best}</bdi>
            </b>
            , sorts unseen texts no better than names of random directions do.{" "}
          </>
        ) : (
          "No namer found a name for it. "
        )}
        Contributions of this concept are counted as unnamed.
      </span>
      {!props.editing.readOnly && (
        <span class="acts">
          <button type="button" class="btn s" onClick={props.onRename}>
            Name it yourself
          </button>
        </span>
      )}
    </div>
  );
}
