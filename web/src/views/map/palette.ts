/** Colours of the page, as a canvas needs them. */
import type { Colour } from "./density";

export interface Palette {
  back: string;
  ink: string;
  /** Of points that are not picked. */
  point: string;
  /** Of passages, the fuller the more there are. */
  cloud: string;
  accent: string;
  font: string;
}

export function palette(): Palette {
  const of = getComputedStyle(document.documentElement);
  const value = (name: string) => of.getPropertyValue(name).trim();
  return {
    back: value("--bg"),
    ink: value("--ink"),
    point: value("--ink-3"),
    cloud: value("--ink-2"),
    accent: value("--accent"),
    font: value("--sans") || "sans-serif",
  };
}

export function rgb(hex: string): Colour {
  const n = Number.parseInt(hex.replace("#", ""), 16);
  return [(n >> 16) & 255, (n >> 8) & 255, n & 255];
}

/** Calls when the page turns light or dark; returns what ends that. */
export function onTheme(turned: () => void): () => void {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = new MutationObserver(turned);
  chosen.observe(document.documentElement, { attributeFilter: ["data-theme"] });
  system.addEventListener("change", turned);
  return () => {
    chosen.disconnect();
    system.removeEventListener("change", turned);
  };
}
