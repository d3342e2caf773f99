/** Which sums of hits are open, and which of their folds, as an address has them: `open=Granite:traces,Basalt`. */
import { changed, go } from "../../address";
import { type Folds, flipped } from "../../score/ledger";

/** Passages whose sums are open, each with the keys of its open folds. */
export type Opened = ReadonlyMap<string, readonly string[]>;

/** Characters of all that is open: of more than that, what was opened first closes. */
const LONGEST = 4_000;

export function openedOf(params: URLSearchParams): Opened {
  const opened = new Map<string, readonly string[]>();
  for (const one of (params.get("open") ?? "").split(",")) {
    const [passage, ...folds] = one.split(":").map(decoded);
    if (passage) opened.set(passage, [...new Set(folds.filter(Boolean))]);
  }
  return opened;
}

export function openedAs(opened: Opened): string | null {
  const each = [...opened].map(([passage, folds]) => [passage, ...folds].map(encodeURIComponent).join(":"));
  while (each.length > 1 && each.join(",").length > LONGEST) each.shift();
  return each.join(",") || null;
}

/** Open the sum of a hit, or close it and all of its folds. */
export function withSum(opened: Opened, passage: string): Opened {
  const all = new Map(opened);
  if (!all.delete(passage)) all.set(passage, []);
  return all;
}

/** Open a fold of a sum, or close it. */
export function withFold(opened: Opened, passage: string, fold: string): Opened {
  return new Map(opened).set(passage, flipped(opened.get(passage) ?? [], fold));
}

/** As the address has it now, which may be ahead of what was rendered; in its place, for nothing was lost by opening. */
function change(to: (opened: Opened) => Opened): void {
  go(changed({ open: openedAs(to(openedOf(new URL(location.href).searchParams))) }), "replace");
}

export function flipSum(passage: string): void {
  change((opened) => withSum(opened, passage));
}

/** The folds of a passage's sum; each change goes into the address. */
export function foldsOf(opened: Opened, passage: string): Folds {
  return {
    open: opened.get(passage) ?? [],
    onFlip: (fold) => change((now) => withFold(now, passage, fold)),
  };
}

export function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
