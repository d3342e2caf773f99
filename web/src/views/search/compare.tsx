/** Two hits of one query: why one stands above the other, and the smallest change of one weight that swaps them. */
import { changed, go, useAddress } from "../../address";
import { api, asked, type Shape } from "../../api/client";
import { useLoaded } from "../../api/use";
import { useKeys } from "../../keys";
import { CopyAs, type Copyable, python, quoted } from "../../parts/copy";
import { figure } from "../../parts/figures";
import { Scrolls } from "../../parts/scrolls";
import { Failed, Lines } from "../../parts/states";
import { type ProjectInfo, useProject } from "../../project";
import type { Slots } from "../../score/groups";
import { NO_SLOTS } from "../../score/slots";
import { steeredAs } from "./state";
import { digitsOf, Steps, saidOf } from "./steps";
import { beyond, SHOWN, type Step, speaking, type Waterfall, waterfall } from "./waterfall";

export interface CompareProps {
  query: string;
  system: string;
  /** Ids of the two passages. */
  first: string;
  second: string;
  /** Factors by concept that the scores are steered by. */
  boosts?: ReadonlyMap<number, number>;
  slots?: Slots;
  onClose: () => void;
}

const NO_BOOSTS: ReadonlyMap<number, number> = new Map();

export function Compare(props: CompareProps) {
  const { query, system, first, second, boosts = NO_BOOSTS, slots = NO_SLOTS, onClose } = props;
  const { data: project } = useProject();
  const boost = steeredAs(boosts, []).boost?.split(",") ?? [];
  const asks = { q: query, system, first, second, ...(boost.length > 0 ? { boost } : {}) };
  const key = JSON.stringify(asks);
  const { data, error, loading, slow, reload } = useLoaded(key, (signal) =>
    asked(api.GET("/api/difference", { params: { query: asks }, signal })),
  );
  useKeys([{ on: "Escape", shown: "Esc", does: "Close the comparison", run: onClose }]);
  const steers = project?.steerable[system]?.includes("boosts") ?? false;
  return (
    <section class="card why" aria-labelledby="why" aria-busy={loading}>
      {error && <Failed error={error} onRetry={reload} />}
      {!data && !error && slow && <Lines n={6} />}
      {data && (
        <Account
          of={data}
          slots={slots}
          boosts={boosts}
          steers={steers}
          copyable={copyable(props, project)}
          onClose={onClose}
        />
      )}
      {!data && error && (
        <button class="btn s" type="button" onClick={onClose}>
          Close
        </button>
      )}
    </section>
  );
}

function copyable({ query, system, first, second, boosts }: CompareProps, project?: ProjectInfo): Copyable {
  const path = project?.path ?? "PROJECT";
  const by = system === "dense" ? "" : ` --system ${quoted(system)}`;
  const args = system === "dense" ? "" : `, system=${python(system)}`;
  const given = new URLSearchParams({ q: query, system, first, second });
  for (const [latent, factor] of boosts ?? []) given.append("boost", `${latent}:${factor}`);
  const steering = boosts?.size ? `, steering=uw.Steering(boosts=${python(Object.fromEntries(boosts))})` : "";
  const boost = [...(boosts ?? [])].map(([latent, factor]) => ` --boost ${latent}=${factor}`).join("");
  const ids = [query, first, second].map(python).join(", ");
  return {
    command: `unweave difference${by}${boost} -- ${[path, query, first, second].map(quoted).join(" ")}`,
    python: `import unweave as uw\nuw.Project.open(${python(path)}).difference(${ids}${args}${steering})`,
    json: `/api/difference?${given}`,
  };
}

interface AccountProps {
  of: Shape<"Compared">;
  slots: Slots;
  boosts: ReadonlyMap<number, number>;
  steers: boolean;
  copyable: Copyable;
  onClose: () => void;
}

function Account({ of, slots, boosts, steers, copyable, onClose }: AccountProps) {
  const all = useAddress().params.get("steps") === "all";
  const show = (steps: "all" | null) => go(changed({ steps }), "replace");
  const found = waterfall(of.difference, all ? Number.POSITIVE_INFINITY : SHOWN);
  const titles = [of.first_title || `passage ${of.first_id}`, of.second_title || `passage ${of.second_id}`] as const;
  const [higher, lower] = found.firstIsHigher ? titles : ([titles[1], titles[0]] as const);
  return (
    <>
      <header class="why-head">
        <h2 id="why">
          {of.difference.difference === 0 ? (
            <>
              <bdi>{higher}</bdi> and <bdi>{lower}</bdi> score the same
            </>
          ) : (
            <>
              Why <bdi>{higher}</bdi> is above <bdi>{lower}</bdi>
            </>
          )}
        </h2>
        <CopyAs of={copyable} narrow={false} />
        <button class="btn quiet s" type="button" onClick={onClose}>
          Close <span class="kbd">Esc</span>
        </button>
      </header>
      <p class="mute why-said">
        <Said found={found} />
        <Swap of={of.difference} boosts={boosts} steers={steers} />
      </p>
      <Scrolls label="The difference as a table">
        <Steps of={found} higher={higher} lower={lower} slots={slots} onOpen={() => show("all")} />
      </Scrolls>
      {all && (
        <button class="btn quiet s" type="button" onClick={() => show(null)}>
          Only the {SHOWN} largest
        </button>
      )}
    </>
  );
}

/** "A, B and C": names in bold, between other words. */
function Names({ of }: { of: Step[] }) {
  return (
    <>
      {of.map((step, i) => (
        <>
          {i > 0 && (i === of.length - 1 ? " and " : ", ")}
          <b>
            <bdi>{saidOf(step)}</bdi>
          </b>
        </>
      ))}
    </>
  );
}

/** By how much, and what speaks for which. */
function Said({ found }: { found: Waterfall }) {
  const { gives, takes } = speaking(found.steps);
  const digits = digitsOf(found);
  const sum = (of: Step[]) => figure(Math.abs(of.reduce((all, step) => all + step.difference, 0)), digits);
  return (
    <>
      It scores {figure(found.high - found.low, digits)} more.
      {gives.length > 0 && (
        <>
          {" "}
          <Names of={gives} /> {gives.length === 1 ? "speaks" : "speak"} for it and{" "}
          {gives.length === 1 ? "adds" : "add"} {sum(gives)}
        </>
      )}
      {gives.length > 0 && takes.length > 0 && "; "}
      {gives.length === 0 && " "}
      {takes.length > 0 && (
        <>
          <Names of={takes} /> {takes.length === 1 ? "speaks" : "speak"} for the other and{" "}
          {takes.length === 1 ? "takes" : "take"} {sum(takes)} away
        </>
      )}
      {gives.length + takes.length > 0 && ". "}
    </>
  );
}

/** A slider goes so far; a weight beyond says that no sensible change swaps the two. */
const FARTHEST = 1000;

function Swap({ of, boosts, steers }: Pick<AccountProps, "boosts" | "steers"> & { of: Shape<"Difference"> }) {
  const { swap } = of;
  const concept = of.concepts.find((one) => one.latent === swap?.latent);
  if (!swap || !concept) return null;
  const factor = beyond(swap.factor);
  if (Math.abs(factor) > FARTHEST) return <>No change of one weight, within reason, swaps them.</>;
  const weight = beyond((boosts.get(swap.latent) ?? 1) * swap.factor);
  const isWord = concept.group === null;
  const search = () => {
    const { boost } = steeredAs(new Map(boosts).set(swap.latent, weight), []);
    go(changed({ boost, compare: null, steps: null }));
  };
  const name = isWord ? `“${concept.name}”` : null;
  return (
    <>
      <b>Smallest change that swaps them:</b> <bdi>{name ?? saidOf({ kind: "concept", concept } as Step)}</bdi> ×{" "}
      {figure(factor, 2)} in the query
      {factor < 0 && ", which pushes it away"}.{" "}
      {steers && !isWord && (
        <button class="btn s" type="button" onClick={search}>
          Search with this change
        </button>
      )}
    </>
  );
}
