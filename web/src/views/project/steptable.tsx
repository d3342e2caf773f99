/** The steps of a project: a tick for each that was taken, what there is of it, and what makes it. */
import type { Shape } from "../../api/client";
import { BeginJob } from "../../parts/job";
import { useProject } from "../../project";
import { fact } from "./facts";
import type { Step } from "./steps";

const SEE: Record<string, [path: string, words: string]> = {
  Names: ["/concepts", "See them"],
  Evaluation: ["/evaluation", "See it"],
  Map: ["/map", "See it"],
};
const MAKE: Record<string, string> = {
  Embeddings: "Embed it",
  Dictionary: "Train it",
  Names: "Name them",
  Index: "Build it",
  Evaluation: "Evaluate",
};

interface Props {
  steps: Step[];
  next: Step | undefined;
  project: Shape<"ProjectInfo">;
}

export function StepTable({ steps, next, project }: Props) {
  const { reload } = useProject();
  return (
    <table class="grid steps">
      <caption class="vh">Steps of the project, and which were taken</caption>
      <tbody>
        {steps.map((step) => {
          const see = SEE[step.name];
          const may = step.state === "missing" && step.waitsFor === null && step.job !== null;
          const judges = step.name !== "Evaluation" || project.n_judged > 0;
          return (
            <tr key={step.name}>
              <td class="tick">
                <Tick state={step.state} />
              </td>
              <td class="step">{step.name}</td>
              <td class="mute fact">
                <bdi>{fact(step, project)}</bdi>
              </td>
              <td class="lo">{step.command && <code class="faint">unweave {step.command}</code>}</td>
              <td class="num">
                {step.state !== "missing" && see && (
                  <a class="small" href={see[0]}>
                    {see[1]}
                  </a>
                )}
                {may && judges && step.job && (
                  <BeginJob
                    kind={step.job}
                    label={MAKE[step.name] ?? "Make it"}
                    primary={step === next}
                    small
                    onDone={reload}
                  />
                )}
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}

function Tick({ state }: { state: Step["state"] }) {
  const said = { there: "there", stale: "out of date", damaged: "damaged", missing: "missing" }[state];
  return (
    <span class={state === "missing" ? "faint" : ""} title={said}>
      <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">
        {state === "there" && (
          <path d="M2.5 6.4l2.4 2.4 4.6-5.2" fill="none" stroke="currentColor" stroke-width="1.6" />
        )}
        {state === "stale" && <path d="M6 2v5M6 9v1.4" fill="none" stroke="currentColor" stroke-width="1.8" />}
        {state === "missing" && (
          <circle cx="6" cy="6" r="4.2" fill="none" stroke="currentColor" stroke-width="1.2" stroke-dasharray="2 2" />
        )}
      </svg>
      <span class="vh">{said}</span>
    </span>
  );
}
