/** What is shown of the map: by marks, by words, and a box in numbers for those who draw none. */
import { useEffect, useRef, useState } from "preact/hooks";
import { changed, go } from "../../address";
import { Mark } from "../../parts/mark";
import { boxOfText, writeBox } from "./box";
import type { Box } from "./frame";
import { MARKS, type State, writeMarks } from "./state";

interface Props {
  state: State;
  bounds: Box;
  /** A box can be drawn with the pointer. */
  draws: boolean;
  boxing: boolean;
  onBoxing: (boxing: boolean) => void;
}

export function Tools({ state, bounds, draws, boxing, onBoxing }: Props) {
  const toggle = (mark: (typeof MARKS)[number]) => {
    const marks = state.marks.includes(mark)
      ? state.marks.filter((one) => one !== mark)
      : MARKS.filter((one) => one === mark || state.marks.includes(one));
    go(changed({ mark: writeMarks(marks) }));
  };
  return (
    <div class="tools map-tools">
      <fieldset class="map-marks">
        <legend class="vh">Concepts with these marks</legend>
        {MARKS.map((mark) => (
          <label key={mark}>
            <input type="checkbox" checked={state.marks.includes(mark)} onChange={() => toggle(mark)} />
            <Mark trust={mark} words />
          </label>
        ))}
      </fieldset>
      <label>
        <span class="vh">Only concepts with these words</span>
        <input
          class="field s"
          placeholder="Words in the name"
          value={state.words}
          onInput={(event) => go(changed({ words: event.currentTarget.value }), "replace")}
        />
      </label>
      {draws && (
        <button type="button" class="btn s" aria-pressed={boxing} onClick={() => onBoxing(!boxing)}>
          Draw a box
        </button>
      )}
      <details class="map-numbers" open={state.box !== null && !draws}>
        <summary>Box in numbers</summary>
        <Numbers box={state.box} bounds={bounds} />
      </details>
    </div>
  );
}

const FIELDS: [key: keyof Box, label: string][] = [
  ["x0", "left"],
  ["x1", "right"],
  ["y0", "bottom"],
  ["y1", "top"],
];

/** Four numbers; the box is that of the last four that make one. What is half written stays as it is. */
function Numbers({ box, bounds }: { box: Box | null; bounds: Box }) {
  const [text, setText] = useState(() => textOf(box ?? bounds));
  const mine = useRef<string | null>(null);
  useEffect(() => {
    if (box === null || writeBox(box) !== mine.current) setText(textOf(box ?? bounds));
  }, [box, bounds]);
  const set = (key: keyof Box, value: string) => {
    const next = { ...text, [key]: value };
    setText(next);
    const made = boxOfText(next);
    if (!made) return;
    mine.current = writeBox(made);
    go(changed({ box: mine.current }), "replace");
  };
  const wrong = boxOfText(text) === null;
  return (
    <fieldset>
      <legend class="vh">The box on the map</legend>
      {FIELDS.map(([key, label]) => (
        <label key={key}>
          {label}
          <input
            class="field s"
            inputMode="decimal"
            aria-invalid={wrong}
            value={text[key]}
            onInput={(event) => set(key, event.currentTarget.value)}
          />
        </label>
      ))}
    </fieldset>
  );
}

function textOf(box: Box): Record<keyof Box, string> {
  const [x0, y0, x1, y1] = writeBox(box).split(",") as [string, string, string, string];
  return { x0, y0, x1, y1 };
}
