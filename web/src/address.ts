/** The address holds the state of every view. Whoever changes it re-renders what reads it; Back undoes a change. */
import { useEffect, useState } from "preact/hooks";

/** A list stands for a parameter that is there several times. */
type Params = Record<string, string | number | boolean | readonly string[] | null | undefined>;

const MOVED = "unweave:moved";

/** Path and parameters, read anew whenever one of them changes. */
export function useAddress(): { path: string; params: URLSearchParams } {
  const [href, set] = useState(location.href);
  useEffect(() => {
    const read = () => set(location.href);
    addEventListener("popstate", read);
    addEventListener(MOVED, read);
    return () => {
      removeEventListener("popstate", read);
      removeEventListener(MOVED, read);
    };
  }, []);
  const url = new URL(href);
  return { path: url.pathname, params: url.searchParams };
}

/** An address of this application; parameters without a value are left out. */
export function address(path: string, params: Params = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    if (Array.isArray(value)) for (const one of value) given.append(name, one);
    else if (value !== null && value !== undefined && value !== "" && value !== false) given.set(name, String(value));
  }
  const query = given.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
  return query ? `${path}?${query}` : path;
}

/** Go to an address: a new entry of the history, or in place of the present one, as while a slider moves. */
export function go(to: string, how: "push" | "replace" = "push"): void {
  if (new URL(to, location.href).href === location.href) return;
  if (how === "push") history.pushState(null, "", to);
  else history.replaceState(null, "", to);
  dispatchEvent(new Event(MOVED));
}

/** The present address with some parameters changed; null takes one away. */
export function changed(params: Params): string {
  const now = new URL(location.href).searchParams;
  const all: Params = Object.fromEntries([...now.keys()].map((name) => [name, now.getAll(name)]));
  return address(location.pathname, { ...all, ...params });
}

/** Links of this application change the address without loading the page anew. */
export function followLinks(event: MouseEvent): void {
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey)
    return;
  const link = (event.target as Element).closest("a");
  if (!link?.href || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
  if (link.pathname.startsWith("/api/")) return;
  // Within the page the browser goes by itself, and takes the focus along.
  if (link.hash && link.pathname === location.pathname && link.search === location.search) return;
  event.preventDefault();
  go(link.href);
  if (!link.hash) scrollTo(0, 0);
}
