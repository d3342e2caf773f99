/** Search only passages with some metadata: what is chosen, and what there is to choose from. */
import { useState } from "preact/hooks";
import { changed, go } from "../../address";

export function Filter({ where, metadata }: { where: readonly string[]; metadata: Record<string, string[]> }) {
  const keys = Object.keys(metadata);
  const [open, setOpen] = useState(false);
  const [key, setKey] = useState(keys[0] ?? "");
  if (keys.length === 0 && where.length === 0) return null;
  const chosen = key in metadata ? key : (keys[0] ?? "");
  return (
    <>
      {where.map((one) => (
        <button
          key={one}
          class="btn s"
          type="button"
          title="Remove this filter"
          onClick={() => go(changed({ where: where.filter((other) => other !== one) }))}
        >
          <bdi>{one.replace("=", " = ")}</bdi> <span aria-hidden="true">×</span>
          <span class="vh">Remove this filter</span>
        </button>
      ))}
      {keys.length > 0 && (
        <button class="btn quiet s" type="button" aria-expanded={open} onClick={() => setOpen(!open)}>
          Filter by metadata
        </button>
      )}
      {open && keys.length > 0 && (
        <span class="filter">
          <label>
            <span class="vh">Key</span>
            <select class="field s" value={chosen} onChange={(event) => setKey(event.currentTarget.value)}>
              {keys.map((one) => (
                <option key={one}>{one}</option>
              ))}
            </select>
          </label>
          <label>
            <span class="vh">Value</span>
            <select
              class="field s"
              value=""
              onChange={(event) => {
                const { value } = event.currentTarget;
                const others = where.filter((one) => !one.startsWith(`${chosen}=`));
                if (value) go(changed({ where: [...others, `${chosen}=${value}`] }));
              }}
            >
              <option value="">Choose …</option>
              {(metadata[chosen] ?? []).map((value) => (
                <option key={value} value={value}>
                  {value}
                </option>
              ))}
            </select>
          </label>
        </span>
      )}
    </>
  );
}
