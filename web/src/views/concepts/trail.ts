/** The table that a reader came from, so that the next and the previous concept are those of its rows, and going back
 * leads to where they were. */
import { api, asked } from "../../api/client";
import { forServer, type Query } from "./query";

interface Trail {
  /** Path and parameters of the table. */
  address: string;
  query: Query;
  /** The row that was opened last. */
  index: number;
  latent: number;
  scroll: number;
}

let trail: Trail | null = null;

export function leave(of: Trail): void {
  trail = of;
}

/** Where the table was left that has this address; null: another was left last. */
export function left(at: string): Trail | null {
  return trail?.address === at ? trail : null;
}

/** The address of the table that was left last. */
export function table(): string {
  return trail?.address ?? "/concepts";
}

/** The concept so many rows on; by number where the reader came from no table. Undefined: there is none. */
export async function beside(latent: number, by: 1 | -1): Promise<number | undefined> {
  if (trail === null || trail.latent !== latent) return latent + by < 0 ? undefined : latent + by;
  const offset = trail.index + by;
  if (offset < 0) return undefined;
  const query = { ...forServer(trail.query), offset, limit: 1 };
  const { rows } = await asked(api.GET("/api/concepts", { params: { query } }));
  const next = rows[0]?.latent;
  if (next !== undefined) trail = { ...trail, index: offset, latent: next };
  return next;
}
