/** What can be done with the selected rows, all at once or none; and how to take it back. */
import { useState } from "preact/hooks";
import type { Refused } from "../../api/client";
import { useKeys } from "../../keys";
import { type Change, change, undo } from "../../parts/edits";
import { counted } from "../../parts/figures";
import { MergeDialog } from "../../parts/merge";
import { Failed } from "../../parts/states";
import { useProject } from "../../project";
import type { Selection } from "./selection";

interface Done {
  said: string;
  numbers: number[];
}

export function Bulk({ selection, reload }: { selection: Selection; reload: () => void }) {
  const project = useProject();
  const [done, setDone] = useState<Done | null>(null);
  const [refused, refuse] = useState<Refused | null>(null);
  const [doing, set] = useState<"flag" | "merge" | null>(null);
  const latents = selection.rows.map((row) => row.latent);
  const n = counted(latents.length, "concept");

  const run = async (making: Promise<Done | null>) => {
    try {
      setDone(await making);
      refuse(null);
      selection.clear();
      set(null);
      reload();
      project.reload(); // marks are counted there
    } catch (error) {
      refuse(error as Refused);
    }
  };
  const make = (what: Omit<Change, "latents">, did: (n: number) => string) =>
    run(
      change({ ...what, latents }).then((made) => ({ said: did(made.length), numbers: made.map((one) => one.number) })),
    );
  const undoing = () => done && run(undo(done.numbers).then(() => null));
  useKeys([
    { on: "Escape", shown: "Esc", does: "Select no row", run: selection.clear },
    { on: "Ctrl+z", shown: "Ctrl Z", does: "Undo the last change of this table", run: undoing },
  ]);
  if (project.data?.read_only) return null;
  return (
    <>
      {refused && <Failed error={refused} />}
      {latents.length > 0 && (
        <div class="strip bulk">
          <span role="status">
            <b>{n}</b> selected
          </span>
          <span class="acts">
            <button
              type="button"
              class="btn s"
              onClick={() => make({ action: "lock" }, (made) => `${counted(made, "name")} confirmed.`)}
            >
              Lock
            </button>
            <button
              type="button"
              class="btn s"
              onClick={() => make({ action: "unlock" }, (made) => `${counted(made, "name")} unlocked.`)}
            >
              Unlock
            </button>
            <button type="button" class="btn s" onClick={() => set(doing === "flag" ? null : "flag")}>
              Flag …
            </button>
            <button type="button" class="btn s" onClick={() => set("merge")}>
              Merge into …
            </button>
            <button type="button" class="btn quiet s" onClick={selection.clear}>
              Select none <span class="kbd">Esc</span>
            </button>
          </span>
          {doing === "flag" && (
            <Remark onLeave={(remark) => make({ action: "flag", remark }, (made) => flagged(made, remark))} />
          )}
        </div>
      )}
      {done && latents.length === 0 && (
        <div class="strip" role="status">
          <span>{done.said}</span>
          {done.numbers.length > 0 && (
            <span class="acts">
              <button type="button" class="btn s" onClick={undoing}>
                Undo <span class="kbd">Ctrl Z</span>
              </button>
              <button type="button" class="btn quiet s" onClick={() => setDone(null)}>
                Close
              </button>
            </span>
          )}
        </div>
      )}
      {doing === "merge" && (
        <MergeDialog
          of={selection.rows}
          near={[]}
          onClose={() => set(null)}
          onMerge={(into) =>
            make({ action: "merge", into }, (made) => `${counted(made, "concept")} merged into #${into}.`)
          }
        />
      )}
    </>
  );
}

function flagged(made: number, remark: string | null): string {
  return remark === null ? `${counted(made, "remark")} taken away.` : `${counted(made, "concept")} flagged ${remark}.`;
}

function Remark({ onLeave }: { onLeave: (remark: string | null) => void }) {
  const [remark, set] = useState("");
  return (
    <form
      class="remark"
      onSubmit={(event) => {
        event.preventDefault();
        onLeave(remark);
      }}
    >
      <label>
        <span class="vh">Remark</span>
        <input
          class="field s"
          dir="auto"
          required
          maxLength={60}
          placeholder="A remark, such as generic"
          value={remark}
          onInput={(event) => set(event.currentTarget.value)}
        />
      </label>
      <button type="submit" class="btn s">
        Flag
      </button>
      <button type="button" class="btn s" onClick={() => onLeave(null)}>
        Take remarks away
      </button>
    </form>
  );
}
