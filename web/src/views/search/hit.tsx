/** One hit: its text with the words marked, its score as a bar, and, opened, as a table. */
import { useState } from "preact/hooks";
import type { Shape } from "../../api/client";
import { figure } from "../../parts/figures";
import { Bar, Brackets } from "../../score/bar";
import { type Account, net, type Slots } from "../../score/groups";
import { layoutOf } from "../../score/layout";
import { type Folds, Ledger } from "../../score/ledger";
import { Marked } from "../../score/marked";
import { decimals, place, type Scale } from "../../score/scale";
import { slotOf } from "../../score/slots";
import { gained, titleOf } from "./moves";
import { wordsOfTerms } from "./terms";
import { Tip } from "./tip";

const SNIPPET = 230;

/** There a tap on the bar opens the sum, and the chips select. */
const isNarrow = () => matchMedia("(max-width: 720px)").matches;

export interface HitProps {
  hit: Shape<"Hit">;
  accounts: Account[];
  slots: Slots;
  scale: Scale;
  width: number;
  selected: number | null;
  /** Picked for a comparison. */
  picked: boolean;
  steered: boolean;
  /** Its sum is open, with these of its folds; null: it is not. */
  folds: Folds | null;
  /** Address of the whole passage. */
  to: string;
  wordsOf: (passage: string, latent: number) => Shape<"MarkedText"> | null;
  onSelect: (latent: number) => void;
  onPick: (passage: string) => void;
  /** Open its sum, or close it. */
  onOpen: () => void;
}

export function Hit(props: HitProps) {
  const { hit, accounts, slots, scale, width, selected, picked, steered, folds, to, wordsOf } = props;
  const { onSelect, onPick, onOpen } = props;
  const open = folds !== null;
  const [at, setAt] = useState<string | null>(null);
  const layout = layoutOf(accounts);
  const pieces = accounts.flatMap((account) => account.pieces);
  const digits = decimals(scale);
  const shown = shownWords(hit, accounts, selected, wordsOf);
  const was = steered ? (hit.unsteered?.score ?? null) : null;
  const sum = `sum-${hit.rank}`;
  const title = titleOf(hit);

  const onKey = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (step) {
      const from = pieces.findIndex((piece) => piece.key === at);
      const next = from < 0 ? (step > 0 ? 0 : pieces.length - 1) : from + step;
      setAt(pieces[next]?.key ?? null);
    } else if (event.key === "Enter") {
      const latent = at === null ? null : pieces.find((piece) => piece.key === at)?.latent;
      if (latent !== null && latent !== undefined) onSelect(latent);
      else onOpen();
    } else if (event.key === "Escape" && at !== null) setAt(null);
    else return;
    event.preventDefault();
  };

  return (
    <li
      class={`hit${open ? " open" : ""}${picked ? " picked" : ""}`}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: hits are walked by j and k, and their parts by the arrows
      tabIndex={0}
      data-passage={hit.passage_id}
      onKeyDown={onKey}
      onBlur={() => setAt(null)}
    >
      <span class="rank">
        {hit.rank}
        {steered && <Moved hit={hit} />}
      </span>
      <div class="body">
        <h2>
          <span class="only-narrow">{hit.rank}</span>
          <a class="plain" href={to}>
            <bdi>{title}</bdi>
          </a>
          {steered && <Moved hit={hit} narrow />}
          <span class="acts">
            <button class="btn quiet s" type="button" aria-expanded={open} aria-controls={sum} onClick={onOpen}>
              {open ? "Hide the sum" : "Show the sum"}
            </button>
            <button class="btn quiet s" type="button" aria-pressed={picked} onClick={() => onPick(hit.passage_id)}>
              Compare
            </button>
          </span>
        </h2>
        <p class="snip" dir="auto">
          <Marked
            text={hit.text}
            title={shown.counted ? hit.title : ""}
            marked={shown.marked}
            slot={slotOf(slots, shown.latent)}
            length={SNIPPET}
            goesOn={hit.n_characters > [...hit.text].length}
          />
        </p>
        <div class="bar-row">
          {/* biome-ignore lint/a11y/noStaticElementInteractions: a tap on the bar opens the sum, as Enter does on the hit */}
          {/* biome-ignore lint/a11y/useKeyWithClickEvents: see above */}
          <div class="bar-of" onClick={() => isNarrow() && onOpen()}>
            {layout.brackets.length > 0 && <Brackets layout={layout} scale={scale} width={width} />}
            <Bar
              {...{ layout, scale, width, was, selected, at }}
              onAt={setAt}
              onSelect={(latent) => !isNarrow() && onSelect(latent)}
            />
          </div>
          <span class={`score${layout.brackets.length ? " below" : ""}`}>
            {was !== null && <small>was {figure(was, digits)}</small>}
            {figure(hit.score, digits)}
          </span>
          {at !== null && <TipOf {...{ at, hit, layout, scale, digits, wordsOf }} />}
        </div>
      </div>
      <div class="sum" id={sum} hidden={!open}>
        {folds && <Ledger accounts={accounts} slots={slots} of={title} score={hit.score} folds={folds} />}
      </div>
    </li>
  );
}

/** The words of the selected concept, or of the strongest that has a colour here, or those that BM25 found. */
function shownWords(hit: HitProps["hit"], accounts: Account[], selected: number | null, wordsOf: HitProps["wordsOf"]) {
  const pieces = accounts.flatMap((account) => account.pieces);
  const colours = pieces.filter((piece) => piece.kind === "slot").sort((a, b) => net(b) - net(a));
  const latent = selected ?? colours[0]?.latent ?? null;
  if (latent !== null) return { latent, counted: true, marked: wordsOf(hit.passage_id, latent) };
  const terms = pieces
    .filter((piece) => piece.kind === "word")
    .flatMap((piece) => piece.of.flatMap((c) => c.name?.split(", ") ?? []));
  const words = wordsOfTerms(hit.text, terms);
  return { latent, counted: false, marked: { key: hit.passage_id, latent: -1, words, others: 0 } };
}

interface TipOfProps {
  at: string;
  hit: HitProps["hit"];
  layout: ReturnType<typeof layoutOf>;
  scale: Scale;
  digits: number;
  wordsOf: HitProps["wordsOf"];
}

function TipOf({ at, hit, layout, scale, digits, wordsOf }: TipOfProps) {
  const drawn = layout.drawn.find(({ piece }) => piece.key === at);
  if (!drawn) return null;
  const pieces = layout.accounts.flatMap((account) => account.pieces);
  const all = pieces.reduce((sum, piece) => sum + piece.adds + piece.takes, 0);
  const { piece } = drawn;
  const text = hit.title ? `${hit.title} ${hit.text}` : hit.text;
  const marked = piece.latent === null ? null : wordsOf(hit.passage_id, piece.latent);
  const part = all ? (piece.adds + piece.takes) / all : 0;
  return <Tip id={`tip-${hit.rank}`} at={place(scale, drawn.from)} {...{ piece, part, digits, marked, text }} />;
}

function Moved({ hit, narrow = false }: { hit: HitProps["hit"]; narrow?: boolean }) {
  const ranks = gained(hit);
  if (ranks === 0) return null;
  const kind = `moved-n${ranks !== null && ranks < 0 ? "" : " up"}${narrow ? " only-narrow" : ""}`;
  if (ranks === null) return <span class={kind}>new</span>;
  return (
    <span class={kind} title={`Was ${hit.unsteered?.rank}`}>
      <svg viewBox="0 0 7 7" aria-hidden="true">
        <path d={ranks > 0 ? "M3.5 0L7 6H0z" : "M0 1h7L3.5 7z"} fill="currentColor" />
      </svg>
      <span class="vh">{ranks > 0 ? "up" : "down"} </span>
      {Math.abs(ranks)}
    </span>
  );
}
