/** Which rows of the table are selected, to change them together. */
import { useCallback, useEffect, useState } from "preact/hooks";
import type { Row } from "./query";

export interface Selection {
  rows: Row[];
  has: (latent: number) => boolean;
  put: (rows: Row[], selected: boolean) => void;
  clear: () => void;
}

/** @param key of what the table shows; another one begins without a selection. */
export function useSelection(key: string): Selection {
  const [rows, set] = useState<Map<number, Row>>(new Map());
  const clear = useCallback(() => set(new Map()), []);
  useEffect(clear, [key]);
  const put = (changed: Row[], selected: boolean) =>
    set((old) => {
      const now = new Map(old);
      for (const row of changed) {
        if (selected) now.set(row.latent, row);
        else now.delete(row.latent);
      }
      return now;
    });
  return { rows: [...rows.values()], has: (latent) => rows.has(latent), put, clear };
}
