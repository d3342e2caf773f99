/** Families of concepts that are active together, the largest first. */
import { useRef } from "preact/hooks";
import { address, changed, go } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { type Copyable, python, quoted } from "../../parts/copy";
import { count, counted } from "../../parts/figures";
import { ConceptName } from "../../parts/name";
import { Blank, Failed, Lines } from "../../parts/states";
import { around, useWindowed } from "../../parts/windowed";
import { useTyped } from "./typed";

type Family = Shape<"FamilyShape">;
const SHOWN = 12; // members in a row

export function Families({ words }: { words: string }) {
  const loaded = useLoaded("families", (signal) => asked(api.GET("/api/families", { signal })));
  const field = useTyped(words, (text) => go(changed({ words: text.trim() }), "replace"), 200);
  const all = loaded.data?.families ?? [];
  const found = having(all, words);
  return (
    <>
      <div class="tools">
        <label class="one-field">
          <span class="vh">Families by words of their concepts’ names</span>
          <input
            class="field s"
            type="search"
            dir="auto"
            placeholder="Words in a name"
            value={field.typed}
            onInput={(event) => field.type(event.currentTarget.value)}
          />
        </label>
        <span class="mute" role="status">
          {loaded.data &&
            (words
              ? `${count(found.length)} of ${counted(all.length, "family", "families")}`
              : counted(all.length, "family", "families"))}
        </span>
      </div>
      {loaded.error && !loaded.data && <Failed error={loaded.error} onRetry={loaded.reload} />}
      {loaded.slow && !loaded.data && <Lines />}
      {loaded.data && all.length === 0 && (
        <Blank level={2} title="There are no families">
          <p>No group of concepts holds together better than random groups of the same size.</p>
        </Blank>
      )}
      {all.length > 0 && found.length === 0 && <p class="mute">No concept of a family has these words in its name.</p>}
      {found.length > 0 && <List of={found} />}
    </>
  );
}

export function copyableFamilies(path: string): Copyable {
  return {
    command: `unweave families ${quoted(path)}`,
    python: `import unweave as uw\n\nproject = uw.Project.open(${python(path)})\nproject.families()`,
    json: "/api/families",
  };
}

/** Families with a concept whose name has all of some words. */
export function having(families: Family[], words: string): Family[] {
  const wanted = words.toLowerCase().split(/\s+/).filter(Boolean);
  if (wanted.length === 0) return families;
  return families.filter(({ head, members }) =>
    [head, ...members].some(({ name }) => {
      const shown = name?.toLowerCase() ?? "";
      return wanted.every((word) => shown.includes(word));
    }),
  );
}

function List({ of }: { of: Family[] }) {
  const box = useRef<HTMLUListElement>(null);
  const windowed = useWindowed({ count: of.length, estimate: 96, within: box });
  const [above, below] = around(windowed);
  return (
    <ul class="families" ref={box}>
      <li aria-hidden="true" class="space" style={{ height: `${above}px` }} />
      {windowed.getVirtualItems().map(({ index }) => {
        const family = of[index];
        return (
          family && (
            <li
              key={family.head.other}
              data-index={index}
              ref={windowed.measureElement}
              aria-setsize={of.length}
              aria-posinset={index + 1}
            >
              <FamilyLine family={family} />
            </li>
          )
        );
      })}
      <li aria-hidden="true" class="space" style={{ height: `${below}px` }} />
    </ul>
  );
}

function FamilyLine({ family: { head, members, trust } }: { family: Family }) {
  const left = members.length - SHOWN;
  return (
    <>
      <h2>
        <ConceptName of={{ latent: head.other, name: head.name, trust }} />
        <span class="small faint"> {counted(members.length + 1, "concept")}</span>
      </h2>
      <p class="members">
        {members.slice(0, SHOWN).map((one) => (
          <span key={one.other} class="member">
            <ConceptName of={{ latent: one.other, name: one.name, trust: one.trust }} />
          </span>
        ))}
        {left > 0 && (
          <a class="small" href={address(`/concepts/${head.other}`)}>
            and {left} more
          </a>
        )}
      </p>
    </>
  );
}
