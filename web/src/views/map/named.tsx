/** A concept of the map by the row it stands in: as others name it, and what its point says. */
import type { Shape } from "../../api/client";
import { counted } from "../../parts/figures";
import { ConceptName } from "../../parts/name";
import type { Tip } from "./canvas";

type Concepts = Shape<"ConceptMap">;

export function tipOf(map: Concepts, row: number): Tip {
  return {
    x: map.x[row] as number,
    y: map.y[row] as number,
    says: (
      <>
        <b>
          <ConceptName of={conceptOf(map, row)} link={false} />
        </b>
        <br />
        {counted(map.document_frequency[row] as number, "passage")}
      </>
    ),
  };
}

export function conceptOf(map: Concepts, row: number) {
  return {
    latent: map.latent[row] as number,
    name: map.name[row] ?? null,
    trust: map.trust[row] ?? null,
    returns: map.returns[row] ?? null,
  };
}
