/** How strongly a concept is active: passages by activation, with the line from where its name holds. */
import { CopyAs, python, quoted } from "../../parts/copy";
import { count, counted, figure } from "../../parts/figures";
import { bars, ticks } from "../../parts/scale";
import { useProject } from "../../project";
import type { Card } from "./view";

const [HEIGHT, ROOM] = [126, 36]; // of the bars with the writing above them, and of that writing
const FLIPS = 62; // percent from the left; beyond, the line's words stand left of it

export function Activity({ card }: { card: Card }) {
  const { row, histogram } = card;
  const total = histogram.counts.reduce((sum, n) => sum + n, 0);
  return (
    <section class="block" aria-labelledby="activity">
      <header>
        <h2 id="activity">How strongly it is active</h2>
        <span class="small faint">passages by activation</span>
        <span class="r">
          <Copies latent={row.latent} />
        </span>
      </header>
      {total === 0 ? (
        <p class="mute">No passage of this corpus activates it.</p>
      ) : (
        <Histogram card={card} total={total} />
      )}
      <p class="mute wide-text">{explained(card)}</p>
    </section>
  );
}

function explained({ row, histogram }: Card): string {
  if (row.trust === "confirmed" && row.holds_from === 0)
    return "A person gave or confirmed the name, so it is used at any activation.";
  if (row.holds_from === null)
    return "No activation is known from which the name holds, so every contribution counts as a trace: it is added up, but not called by a name.";
  const said =
    "Above the line, at least eight of ten passages suit the name. Below it, a contribution counts as a trace: it is added up, but not called by this name.";
  return histogram.above === 0 ? `${said} No passage of this corpus lies above it.` : said;
}

function Copies({ latent }: { latent: number }) {
  const { data } = useProject();
  const path = data?.path ?? "PROJECT";
  return (
    <CopyAs
      of={{
        command: `unweave concepts show ${quoted(path)} ${latent}`,
        python: `import unweave as uw\n\nproject = uw.Project.open(${python(path)})\nproject.concepts.concept(${latent})`,
        json: `/api/concepts/${latent}`,
      }}
    />
  );
}

function Histogram({ card: { row, histogram }, total }: { card: Card; total: number }) {
  const { edges, counts, above } = histogram;
  const top = edges.at(-1) ?? 1;
  const holds = row.holds_from;
  const at = (value: number) => (100 * value) / top;
  const shape = { width: 100, height: HEIGHT - ROOM, gap: 0.25, least: 1 };
  const said = `Histogram of ${counted(total, "activation")} from 0 to ${figure(top, 2)}.`;
  const line = holds === null ? "" : ` The name holds from ${figure(holds)}, for ${counted(above ?? 0, "passage")}.`;
  const between = (bin: number) => `from ${figure(edges[bin] ?? 0)} to ${figure(edges[bin + 1] ?? top)}`;
  return (
    <>
      <svg class="hist" role="img" aria-label={said + line}>
        {bars(edges, counts, holds, shape).map((bar) => (
          <rect
            key={bar.x}
            class={bar.over ? "b over" : "b"}
            x={`${bar.x.toFixed(3)}%`}
            width={`${bar.width.toFixed(3)}%`}
            y={ROOM + bar.y}
            height={bar.height}
          >
            <title>
              {counted(counts[bar.bin] ?? 0, "passage")} {between(bar.bin)}
            </title>
          </rect>
        ))}
        <line class="ax" x1="0" x2="100%" y1={HEIGHT} y2={HEIGHT} />
        {ticks(top).map((tick) => (
          <g key={tick}>
            <line class="ax" x1={`${at(tick)}%`} x2={`${at(tick)}%`} y1={HEIGHT} y2={HEIGHT + 4} />
            <text x={`${at(tick)}%`} y={HEIGHT + 18} text-anchor={anchor(at(tick))}>
              {tick}
            </text>
          </g>
        ))}
        {holds !== null && holds > 0 && (
          <HoldsLine at={at(Math.min(holds, top))} holds={holds} above={above ?? 0} total={total} />
        )}
      </svg>
      <div class="vh">
        <table>
          <caption>Passages by activation</caption>
          <thead>
            <tr>
              <th scope="col">Activation</th>
              <th scope="col">Passages</th>
            </tr>
          </thead>
          <tbody>
            {counts.map(
              (n, bin) =>
                n > 0 && (
                  <tr key={edges[bin]}>
                    <td>{between(bin)}</td>
                    <td>{n}</td>
                  </tr>
                ),
            )}
          </tbody>
        </table>
      </div>
    </>
  );
}

function anchor(at: number): "start" | "middle" | "end" {
  if (at < 1) return "start";
  return at > 99 ? "end" : "middle";
}

function HoldsLine(props: { at: number; holds: number; above: number; total: number }) {
  const x = `${props.at}%`;
  const flipped = props.at > FLIPS;
  const side = flipped ? { dx: -7, "text-anchor": "end" as const } : { dx: 7 };
  return (
    <>
      <line class="hold" x1={x} x2={x} y1="2" y2={HEIGHT} />
      <text class="em" x={x} y="11" {...side}>
        Name holds from {figure(props.holds)}
      </text>
      <text x={x} y="26" {...side}>
        {count(props.above)} of {counted(props.total, "passage")}
      </text>
      {!flipped && props.at > 10 && (
        <text x={x} dx="-7" y="11" text-anchor="end">
          Traces
        </text>
      )}
    </>
  );
}
