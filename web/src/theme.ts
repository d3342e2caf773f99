/** Light or dark: the system's choice until a person makes another, kept in this browser. */
const KEY = "unweave-theme";

export function applyTheme(): void {
  const chosen = localStorage.getItem(KEY);
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
}

export function switchTheme(): void {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark"
    : matchMedia("(prefers-color-scheme: dark)").matches;
  localStorage.setItem(KEY, dark ? "light" : "dark");
  applyTheme();
}
