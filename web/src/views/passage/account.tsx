/** Why a passage scores what it scores for the query that led to it. */

import type { Shape } from "../../api/client";
import { figure } from "../../parts/figures";
import { calledSystem } from "../../parts/systems";
import { Axis } from "../../score/axis";
import { Bar, Brackets } from "../../score/bar";
import { accountsOf, type Slots } from "../../score/groups";
import { layoutOf } from "../../score/layout";
import { type Folds, Ledger } from "../../score/ledger";
import { Legend } from "../../score/legend";
import { scaleOf } from "../../score/scale";
import { useWidth } from "../../score/width";

interface ScoreProps {
  of: Shape<"Standing">;
  slots: Slots;
  title: string;
  folds: Folds;
  onSelect: (latent: number) => void;
}

export function Score({ of, slots, title, folds, onSelect }: ScoreProps) {
  const [ref, width] = useWidth<SVGSVGElement>();
  const { score } = of.explanation;
  const accounts = accountsOf(of.explanation, slots, of.query);
  const layout = layoutOf(accounts);
  const scale = scaleOf([layout.end], [score]);
  return (
    <>
      <p class="mute">
        {of.rank === null
          ? `Not among the first ${of.looked_at} hits by ${calledSystem(of.system)}; its score is `
          : `Rank ${of.rank} by ${calledSystem(of.system)}, with a score of `}
        {figure(score)}.
      </p>
      <div class="passage-bar">
        <Legend hits={[accounts]} />
        <Axis scale={scale} bars={ref} />
        {layout.brackets.length > 0 && <Brackets layout={layout} scale={scale} width={width} />}
        <Bar layout={layout} scale={scale} width={width} onSelect={onSelect} />
      </div>
      <Ledger accounts={accounts} slots={slots} of={title} score={score} folds={folds} />
    </>
  );
}
