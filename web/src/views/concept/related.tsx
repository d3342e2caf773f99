/** What has to do with a concept: what is active with it, lies close to it, means the same, stands above it; its family. */
import { useState } from "preact/hooks";
import { address } from "../../address";
import { counted, figure } from "../../parts/figures";
import { Mark, type Trust } from "../../parts/mark";
import { called } from "../../parts/name";
import type { Card } from "./view";

type Related = Card["related"][number];

const KINDS: [relation: string, title: string, weight: string][] = [
  ["duplicate", "Duplicates", "say the same; cosine"],
  ["parent", "Above it", "more general: share of its texts that have both"],
  ["co-occurring", "Active together with", "npmi over texts: 0 is chance, 1 is always"],
  ["neighbour", "Closest directions", "cosine"],
];
const FIRST = 6;
const FIRST_OF_FAMILY = 10;

export function Relations({ card }: { card: Card }) {
  return (
    <>
      {KINDS.map(([relation, title, weight]) => {
        const of = card.related.filter((one) => one.relation === relation);
        if (of.length === 0) return null;
        return (
          <section key={relation} class="block" aria-labelledby={relation}>
            <header>
              <h2 id={relation}>{title}</h2>
              <span class="small faint">{weight}</span>
            </header>
            <List of={of} />
          </section>
        );
      })}
    </>
  );
}

function List({ of }: { of: Related[] }) {
  const [all, showAll] = useState(false);
  return (
    <>
      <ul class="rel">
        {(all ? of : of.slice(0, FIRST)).map((one) => (
          <Line key={one.other} one={one} />
        ))}
      </ul>
      {!all && of.length > FIRST && (
        <button class="btn quiet s flush" type="button" onClick={() => showAll(true)}>
          {of.length - FIRST} more
        </button>
      )}
    </>
  );
}

function Line({ one, head = false, on = false }: { one: Related; head?: boolean; on?: boolean }) {
  const of = { latent: one.other, name: one.name, trust: one.trust };
  return <RelatedLine of={of} part={one.weight} shown={head ? "head" : figure(one.weight, 2)} look="grey" on={on} />;
}

/** A concept with a number and that number as a bar. */
export function RelatedLine(props: {
  of: { latent: number; name: string | null; trust: Trust | null };
  /** Of the bar's width. */
  part: number;
  shown: string;
  look: "grey" | "trace" | "over";
  /** It is the concept of this page. */
  on?: boolean;
}) {
  const { of } = props;
  const width = Math.min(1, Math.max(0, props.part)) * 64;
  const nameless = of.name === null || of.trust === "none";
  return (
    <li class={props.on ? "on" : undefined}>
      <a href={address(`/concepts/${of.latent}`)} aria-current={props.on ? "page" : undefined} title={called(of)}>
        {nameless ? (
          <>
            <span class="nm-none">No name holds</span> <span class="faint">#{of.latent}</span>
          </>
        ) : (
          <bdi>{of.name}</bdi>
        )}
      </a>
      <Mark trust={of.trust} />
      <svg class="w" aria-hidden="true">
        <rect class="all" width="64" height="6" rx="1" />
        {props.look === "trace" ? (
          <rect class="trace" x=".5" y=".5" width={Math.max(0, width - 1)} height="5" rx="1" />
        ) : (
          <rect class={props.look} width={width} height="6" rx="1" />
        )}
      </svg>
      <span class="num small">{props.shown}</span>
    </li>
  );
}

export function FamilyBlock({ card: { row, family } }: { card: Card }) {
  const [all, showAll] = useState(false);
  const members = family?.members ?? [];
  const here = members.findIndex((one) => one.other === row.latent);
  const first = here >= FIRST_OF_FAMILY ? [...members.slice(0, FIRST_OF_FAMILY - 1), members[here]] : members;
  const shown = all ? members : first.slice(0, FIRST_OF_FAMILY);
  return (
    <section class="block" aria-labelledby="family">
      <header>
        <h2 id="family">Family</h2>
        <a class="r small" href={address("/concepts", { show: "families" })}>
          All families
        </a>
      </header>
      {family === null ? (
        <p class="mute">
          It belongs to no family: no group that contains it holds together better than random groups of the same size.
        </p>
      ) : (
        <>
          <p class="mute family-said">
            <b>
              <bdi>{called({ latent: family.head.other, name: family.head.name, trust: family.head.trust })}</bdi>
            </b>{" "}
            is the head of {counted(members.length, "concept")} that {members.length === 1 ? "is" : "are"} active
            together with it. As a name for all of them it is: <Mark trust={family.trust} words />
          </p>
          <ul class="rel">
            <Line one={family.head} head on={family.head.other === row.latent} />
            {shown.map((one) => one && <Line key={one.other} one={one} on={one.other === row.latent} />)}
          </ul>
          <p class="then">
            {!all && members.length > shown.length && (
              <button class="btn" type="button" onClick={() => showAll(true)}>
                Show all {members.length + 1}
              </button>
            )}{" "}
            <a class="btn" href={address("/map", { sel: row.latent })}>
              Show on the map
            </a>
          </p>
        </>
      )}
    </section>
  );
}
