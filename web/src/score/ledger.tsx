/** A score as a table: each part by size, query × passage = adds, the running total; folds last; its foot is the score. */
import { useState } from "preact/hooks";
import { figure, share, signed } from "../parts/figures";
import { ConceptName } from "../parts/name";
import { calledSystem } from "../parts/systems";
import { carried } from "./carried";
import { type Account, type Contribution, isNamed, type Kind, type Piece, type Slots, slotKind } from "./groups";
import { Swatch } from "./swatch";

const MOST_ROWS = 12;

type Row = { key: string; kind: Kind; slot: number | null; value: number } & (
  | { one: Contribution }
  | { said: string; inside: Contribution[] }
);

const FOLDS: Record<Exclude<Kind, "slot" | "word">, (n: number, of: Piece) => string> = {
  other: (n) => `${n} more named`,
  unnamed: (n) => (n === 1 ? "One concept whose name does not hold" : `${n} concepts whose names do not hold`),
  traces: (n) => (n === 1 ? "A trace, below where its name holds" : `${n} traces, below where their names hold`),
  system: (_, of) => of.label,
  bias: (_, of) => `${of.label}, the same for every passage`,
  residual: () => "Residual, what the concepts leave of this passage",
};

/** Rows of one system: named parts one by one, by size; then what is folded. */
export function rowsOf(account: Account, slots: Slots): Row[] {
  const named = account.pieces.filter((p) => isNamed(p) || p.slot !== null);
  const ones = named.flatMap((p) => p.of).sort((a, b) => Math.abs(b.value) - Math.abs(a.value));
  const kept = ones.slice(0, MOST_ROWS);
  const more = ones.slice(MOST_ROWS);
  const rows: Row[] = kept.map((one) => ({ key: `${one.latent}`, ...slotKind(one, slots), value: one.value, one }));
  const fold = (piece: Piece, kind: Exclude<Kind, "slot" | "word">, inside: Contribution[], value: number): Row => ({
    key: kind,
    kind,
    slot: null,
    value,
    inside,
    said: FOLDS[kind](inside.length, piece),
  });
  const first = more.length ? named[0] : undefined;
  if (first)
    rows.push(
      fold(
        first,
        "other",
        more,
        more.reduce((sum, c) => sum + c.value, 0),
      ),
    );
  for (const p of account.pieces)
    if (!named.includes(p)) rows.push(fold(p, p.kind as "unnamed", p.of, p.adds - p.takes));
  return rows;
}

/** Which folds are open, and what opens or closes one. */
export interface Folds {
  open: readonly string[];
  onFlip: (fold: string) => void;
}

/** A list without what is in it, or with what is not. */
export function flipped(list: readonly string[], one: string): string[] {
  return list.includes(one) ? list.filter((other) => other !== one) : [...list, one];
}

interface LedgerProps {
  accounts: Account[];
  slots: Slots;
  /** What the score is of, for the table's caption. */
  of: string;
  score: number;
  /** Figures after the point. */
  digits?: number;
  /** Kept elsewhere, such as in the address; else here. */
  folds?: Folds;
}

export function Ledger({ accounts, slots, of, score, digits = 4, folds }: LedgerProps) {
  const [open, setOpen] = useState<readonly string[]>([]);
  const known = folds ?? { open, onFlip: (fold: string) => setOpen(flipped(open, fold)) };
  let before = 0;
  const blocks = accounts.map((account) => {
    const from = before;
    const rows = rowsOf(account, slots);
    before += rows.reduce((sum, row) => sum + row.value, 0);
    return { account, rows, from };
  });
  return (
    <>
      <table class="ledger">
        <caption class="vh">The score of {of} as a sum</caption>
        <thead>
          <tr>
            <th scope="col">Concept</th>
            <Wide head>Query</Wide>
            <td class="op only-wide" />
            <Wide head>Passage</Wide>
            <td class="op only-wide" />
            <th scope="col" class="num">
              Adds
            </th>
            <Wide head>So far</Wide>
          </tr>
        </thead>
        {blocks.map(({ account, rows, from }) => (
          <Block key={account.system} account={account} rows={rows} from={from} digits={digits} folds={known} />
        ))}
        <tfoot>
          <tr>
            <td>Score</td>
            <td colSpan={4} class="only-wide" />
            <td class="num">{figure(score, digits)}</td>
            <Wide>{figure(score, digits)}</Wide>
          </tr>
        </tfoot>
      </table>
      <Said accounts={accounts} />
    </>
  );
}

function Wide({ children, head = false }: { children?: string; head?: boolean }) {
  return head ? (
    <th scope="col" class="num only-wide">
      {children}
    </th>
  ) : (
    <td class="num faint only-wide">{children}</td>
  );
}

interface BlockProps {
  account: Account;
  rows: Row[];
  from: number;
  digits: number;
  folds: Folds;
}

function Block({ account, rows, from, digits, folds }: BlockProps) {
  let total = from;
  return (
    <tbody>
      {account.system !== null && (
        <tr class="of-system">
          <th scope="rowgroup" colSpan={7}>
            {calledSystem(account.system)} {figure(account.value, digits)}
            {account.rank === null ? ", not among its hits" : `, rank ${account.rank}`}
          </th>
        </tr>
      )}
      {rows.flatMap((row) => {
        total += row.value;
        const far = figure(total, digits);
        if ("one" in row) return [<One key={row.key} row={row} of={row.one} digits={digits} far={far} />];
        const fold = account.system === null ? row.key : `${account.system}/${row.key}`;
        const isOpen = folds.open.includes(fold);
        return [
          <tr class="fold" key={row.key}>
            <td>
              <span class="cname">
                <Swatch kind={row.kind} />
                {row.inside.length ? (
                  <button class="btn quiet s" type="button" aria-expanded={isOpen} onClick={() => folds.onFlip(fold)}>
                    {row.said}
                  </button>
                ) : (
                  row.said
                )}
              </span>
            </td>
            <td colSpan={4} class="only-wide" />
            <td class="num">{signed(row.value, digits)}</td>
            <Wide>{far}</Wide>
          </tr>,
          ...(isOpen
            ? row.inside.map((c) => <One key={`${row.key}${c.latent}`} row={row} of={c} digits={digits} inside />)
            : []),
        ];
      })}
    </tbody>
  );
}

interface OneProps {
  row: { kind: Kind; slot: number | null };
  of: Contribution;
  digits: number;
  /** The running total; none inside of a fold, which has it already. */
  far?: string;
  inside?: boolean;
}

function One({ row, of, digits, far = "", inside = false }: OneProps) {
  return (
    <tr class={inside ? "inside" : ""}>
      <td>
        <span class="cname">
          {!inside && <Swatch kind={row.kind} slot={row.slot} />}
          {of.group === null ? <bdi>“{of.name}”</bdi> : <ConceptName of={of} link={of.latent >= 0} />}
        </span>
      </td>
      <td class="num only-wide">{figure(of.query, 3)}</td>
      <td class="op only-wide" aria-hidden="true">
        ×
      </td>
      <td class="num only-wide">
        {figure(of.passage, 3)}
        {factorOf(of)}
      </td>
      <td class="op only-wide" aria-hidden="true">
        =
      </td>
      <td class="num">{signed(of.value, digits)}</td>
      <Wide>{far}</Wide>
    </tr>
  );
}

/** What a boost, or the scaling of a sum, multiplies with; nothing where it is 1. */
function factorOf(of: Contribution): string {
  const plain = of.query * of.passage;
  const factor = plain === 0 ? 1 : of.value / plain;
  return Math.abs(factor - 1) < 0.005 ? "" : ` × ${figure(factor, 2)}`;
}

/** Which part of this one score can be relied on, in a sentence. */
function Said({ accounts }: { accounts: Account[] }) {
  const { of, named, n } = carried([accounts]);
  const part = (kind: Kind) => of.get(kind) ?? 0;
  if (![...n.keys()].some((kind) => kind !== "word" && kind !== "system")) return null;
  const words = part("word");
  return (
    <p class="small mute said-below">
      Concepts whose names hold carry <b>{share(named - words)}</b> of this score
      {words > 0 && `, words ${share(words)}`}, unnamed ones {share(part("unnamed"))}, traces {share(part("traces"))},
      bias and residual {share(part("bias") + part("residual"))}
      {part("system") > 0 && `, ranks ${share(part("system"))}`}.
    </p>
  );
}
