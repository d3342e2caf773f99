/** What an audit looked at: how many tests got how far, and which concept says which label. */
import { address } from "../../address";
import { count, figure, share } from "../../parts/figures";
import { Scrolls } from "../../parts/scrolls";
import { type Count, type Label, total } from "./audit";

function Row({ kind, of, foot = false }: { kind: string; of: Omit<Count, "kind">; foot?: boolean }) {
  const said = <bdi>{kind.charAt(0).toUpperCase() + kind.slice(1)}</bdi>;
  const label = foot ? said : <span class={of.confirmed > 0 ? "audit-held" : ""}>{said}</span>;
  return (
    <tr>
      <th scope="row">{label}</th>
      <td class="num">{count(of.tested)}</td>
      <td class="num">{count(of.significant)}</td>
      <td class="num">{count(of.large)}</td>
      <td class="num">{count(of.confirmed)}</td>
    </tr>
  );
}

export function Counts({ of }: { of: readonly Count[] }) {
  return (
    <Scrolls label="Table of tests">
      <table class="ledger audit-table">
        <caption class="vh">Tests by kind, and how far they got</caption>
        <thead>
          <tr>
            <th scope="col">Kind</th>
            <th scope="col" class="num">
              Tested
            </th>
            <th scope="col" class="num">
              Significant
            </th>
            <th scope="col" class="num">
              Large enough
            </th>
            <th scope="col" class="num">
              Confirmed
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((one) => (
            <Row key={one.kind} kind={one.kind} of={one} />
          ))}
        </tbody>
        <tfoot>
          <Row kind="all" of={total(of)} foot />
        </tfoot>
      </table>
    </Scrolls>
  );
}

/** AUROC from chance to certain: the concept's as a bar, the probe's as the tick that it could reach. */
function Reach({ single, probe }: { single: number; probe: number }) {
  const at = (value: number) => `${(100 * Math.max(0, (value - 0.5) / 0.5)).toFixed(1)}%`;
  return (
    <svg class="audit-reach" aria-hidden="true">
      <rect width="100%" height="8" y="3" rx="2" class="audit-all" />
      <rect width={at(single)} height="8" y="3" rx="2" class="f1" />
      <line x1={at(probe)} x2={at(probe)} y1="0" y2="14" class="audit-tick" />
    </svg>
  );
}

export function Labels({ of }: { of: readonly Label[] }) {
  return (
    <Scrolls label="Table of labels">
      <table class="ledger audit-table">
        <caption class="vh">For each label the concept that tells its passages best</caption>
        <thead>
          <tr>
            <th scope="col">Label</th>
            <th scope="col" class="num">
              Passages
            </th>
            <th scope="col">Concept</th>
            <th scope="col" class="num">
              AUROC
            </th>
            <th scope="col" class="num">
              Probe
            </th>
            <th scope="col">From chance to certain</th>
            <th scope="col" class="num">
              Lost without it
            </th>
            <th scope="col" class="num">
              Without another
            </th>
          </tr>
        </thead>
        <tbody>
          {of.map((row) => (
            <tr key={`${row.key}=${row.value}`}>
              <th scope="row">
                <span class="faint">
                  <bdi>{row.key}</bdi> ={" "}
                </span>
                <bdi>{row.value}</bdi>
              </th>
              <td class="num">{count(row.n)}</td>
              <td>
                <a href={address(`/concepts/${row.latent}`)}>
                  <bdi>{row.name || "without a name"}</bdi> #{row.latent}
                </a>
              </td>
              <td class="num">{figure(row.single, 2)}</td>
              <td class="num">{figure(row.probe, 2)}</td>
              <td>
                <Reach single={row.single} probe={row.probe} />
              </td>
              <td class="num">{share(row.loses)}</td>
              <td class="num">{share(row.loses_by_another)}</td>
            </tr>
          ))}
        </tbody>
      </table>
    </Scrolls>
  );
}
