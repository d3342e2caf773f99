/** One concept: what it is called and by whom, how strongly it is active, the texts that show it, and what is like it. */
import { useCallback, useEffect, useState } from "preact/hooks";
import { changed, go, useAddress } from "../../address";
import { api, asked, type Refused, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { useKeys } from "../../keys";
import { type Change, change, undo } from "../../parts/edits";
import { called } from "../../parts/name";
import { Failed } from "../../parts/states";
import { useProject } from "../../project";
import { beside, table } from "../concepts/trail";
import { Activity } from "./activity";
import { Examples } from "./examples";
import { Head } from "./head";
import { History } from "./history";
import { Names } from "./names";
import { Passages } from "./passages";
import { FamilyBlock, Relations } from "./related";
import { TryText } from "./trying";

export type Card = Shape<"ConceptCard">;

export interface Editing {
  /** Nothing can be changed: the server was started to read only. */
  readOnly: boolean;
  /** Whether it was made; if not, the page says why. */
  change: (what: Change) => Promise<boolean>;
  undo: (number: number) => Promise<boolean>;
}

export function ConceptView({ latent }: { latent: number }) {
  const path = { latent };
  const { params } = useAddress();
  const project = useProject();
  const card = useLoaded(`concept ${latent}`, (signal) =>
    asked(api.GET("/api/concepts/{latent}", { params: { path }, signal })),
  );
  const [refused, refuse] = useState<Refused | null>(null);
  const shown = card.data?.row.latent === latent ? card.data : undefined;
  const name = shown && called(shown.row);
  useEffect(() => {
    document.title = `${name ?? `#${latent}`} · unweave`;
  }, [name, latent]);
  useEffect(() => refuse(null), [latent]);

  const edited = useCallback(
    async (making: Promise<unknown>) => {
      try {
        await making;
        refuse(null);
        card.reload();
        project.reload(); // marks are counted there
        return true;
      } catch (error) {
        refuse(error as Refused);
        return false;
      }
    },
    [card.reload, project.reload],
  );
  const editing: Editing = {
    readOnly: project.data?.read_only ?? false,
    change: (what) => edited(change(what)),
    undo: (number) => edited(undo([number])),
  };
  const last = shown?.edits.find((edit) => !edit.undone);
  const step = async (by: 1 | -1) => {
    const next = await beside(latent, by).catch(() => undefined);
    if (next !== undefined) go(`/concepts/${next}`);
  };
  useKeys([
    { on: "]", shown: "[ ]", does: "Previous and next concept of the table", run: () => step(1) },
    { on: "[", shown: "[ ]", does: "Previous and next concept of the table", run: () => step(-1) },
    { on: "ArrowRight", shown: "← →", does: "Previous and next concept of the table", run: () => step(1) },
    { on: "ArrowLeft", shown: "← →", does: "Previous and next concept of the table", run: () => step(-1) },
    { on: "Ctrl+z", shown: "Ctrl Z", does: "Undo the last change", run: () => last && editing.undo(last.number) },
  ]);
  const all = params.get("passages") === "all";

  return (
    <>
      <Crumb latent={latent} onStep={step} />
      {refused && <Failed error={refused} />}
      {card.error && !shown && <Unknown error={card.error} onRetry={card.reload} />}
      {!shown && card.slow && <Shapes />}
      {shown && (
        <div key={latent} aria-busy={card.loading}>
          <Head card={shown} editing={editing} />
          <div class="ctwo">
            <div>
              <Activity card={shown} />
              <Names card={shown} editing={editing} />
              <Examples card={shown}>
                {!all && shown.row.document_frequency > 0 && (
                  <p class="then">
                    <button type="button" class="btn" onClick={() => go(changed({ passages: "all" }))}>
                      Show all {shown.row.document_frequency.toLocaleString("en")} passages
                    </button>
                  </p>
                )}
              </Examples>
              {all && <Passages card={shown} />}
            </div>
            <div>
              <TryText card={shown} />
              <Relations card={shown} />
              <FamilyBlock card={shown} />
              <History card={shown} editing={editing} />
            </div>
          </div>
        </div>
      )}
    </>
  );
}

function Crumb({ latent, onStep }: { latent: number; onStep: (by: 1 | -1) => void }) {
  return (
    <nav class="crumb" aria-label="Where this is">
      <span>
        <a href={table()}>Concepts</a> / #{latent}
      </span>
      <span class="beside">
        <button type="button" class="btn quiet s" onClick={() => onStep(-1)}>
          <span aria-hidden="true">←</span> Previous <span class="kbd">[</span>
        </button>
        <button type="button" class="btn quiet s" onClick={() => onStep(1)}>
          Next <span aria-hidden="true">→</span> <span class="kbd">]</span>
        </button>
      </span>
    </nav>
  );
}

function Unknown({ error, onRetry }: { error: Refused; onRetry: () => void }) {
  const gone = error.status === 404 || error.status === 422;
  return (
    <>
      <h1 class="vh">Unknown concept</h1>
      <Failed error={error} {...(!gone && { onRetry })} />
      <p>
        <a class="btn" href="/concepts">
          All concepts
        </a>
      </p>
    </>
  );
}

function Shapes() {
  return (
    <div aria-busy="true" aria-label="Loading" role="status">
      <span class="sk" style={{ width: "220px", height: "30px", marginBottom: "10px" }} />
      <span class="sk" style={{ width: "420px", height: "16px", marginBottom: "28px" }} />
      <span class="sk" style={{ width: "100%", height: "150px", marginBottom: "24px" }} />
      <span class="sk" style={{ width: "100%", height: "90px" }} />
    </div>
  );
}
