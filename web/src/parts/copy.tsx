/** "Copy as": the state of a view as a command, as Python, as a link, and as JSON. */
import { useState } from "preact/hooks";

export interface Copyable {
  command: string;
  python: string;
  /** Address of the JSON, below /api. */
  json: string;
}

/** A word as a shell takes it. */
export function quoted(word: string | number): string {
  const text = String(word);
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`;
}

/** A value as Python writes it. */
export function python(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object")
    return `{${Object.entries(value)
      .map(([key, of]) => `${/^\d+$/.test(key) ? key : JSON.stringify(key)}: ${python(of)}`)
      .join(", ")}}`;
  return JSON.stringify(value);
}

export function CopyAs({ of, narrow = true }: { of: Copyable; narrow?: boolean }) {
  const [said, say] = useState("");
  const copy = async (what: string, text: string) => {
    await navigator.clipboard.writeText(text);
    say(`${what} copied`);
    setTimeout(() => say(""), 2000);
  };
  return (
    <span class={narrow ? "copy" : "copy only-wide"}>
      <span>Copy as</span>
      <button class="btn quiet s" type="button" title={of.command} onClick={() => copy("Command", of.command)}>
        Command
      </button>
      <button class="btn quiet s" type="button" title={of.python} onClick={() => copy("Python", of.python)}>
        Python
      </button>
      <button class="btn quiet s" type="button" onClick={() => copy("Link", location.href)}>
        Link
      </button>
      <a class="btn quiet s" href={of.json} target="_blank" rel="noreferrer">
        JSON
      </a>
      <span role="status" class={said ? "said" : "vh"}>
        {said}
      </span>
    </span>
  );
}
