/** All passages that activate a concept, the strongest first; only those in view are drawn. */
import { useEffect, useRef } from "preact/hooks";
import { address, changed, go } from "../../address";
import { api, asked } from "../../api/client";
import { counted } from "../../parts/figures";
import { Failed, Lines } from "../../parts/states";
import { usePages } from "../../parts/use_pages";
import { around, useWindowed } from "../../parts/windowed";
import { Activation } from "./examples";
import type { Card } from "./view";

export function Passages({ card: { row } }: { card: Card }) {
  const path = { latent: row.latent };
  const list = usePages(
    `passages of ${row.latent}`,
    (offset, limit, signal) =>
      asked(api.GET("/api/concepts/{latent}/passages", { params: { path, query: { offset, limit } }, signal })),
    100,
  );
  const box = useRef<HTMLUListElement>(null);
  const total = list.pages?.total ?? 0;
  const windowed = useWindowed({ count: total, estimate: 99, within: box });
  const items = windowed.getVirtualItems();
  const [first, last] = [items[0]?.index ?? 0, items.at(-1)?.index ?? 0];
  useEffect(() => list.need(first, last), [first, last, list.pages]);
  const [above, below] = around(windowed);
  return (
    <section class="block" aria-labelledby="passages">
      <header>
        <h2 id="passages">All passages</h2>
        <span class="small faint">{list.pages && `${counted(total, "passage")}, the strongest first`}</span>
        <button type="button" class="btn quiet s r" onClick={() => go(changed({ passages: null }))}>
          Hide them
        </button>
      </header>
      {list.error && <Failed error={list.error} onRetry={list.reload} />}
      {!list.pages && list.slow && <Lines n={6} />}
      <ul class="ex" ref={box}>
        <li aria-hidden="true" class="space" style={{ height: `${above}px` }} />
        {items.map(({ index }) => {
          const one = list.pages?.at(index);
          return (
            <li
              key={index}
              data-index={index}
              ref={windowed.measureElement}
              aria-posinset={index + 1}
              aria-setsize={total}
            >
              {one ? (
                <>
                  <Activation value={one.activation} strongest={row.strongest} holds={row.holds_from} />
                  <div>
                    <p dir="auto" class="clamped">
                      <bdi>{one.text}</bdi>
                    </p>
                    <span class="src">
                      <a class="plain" href={address("/passage", { id: one.passage_id, sel: row.latent })}>
                        <bdi>{one.title || one.passage_id}</bdi>
                      </a>
                    </span>
                  </div>
                </>
              ) : (
                <span class="sk" style={{ height: "60px" }} />
              )}
            </li>
          );
        })}
        <li aria-hidden="true" class="space" style={{ height: `${below}px` }} />
      </ul>
    </section>
  );
}
