/** What is out of date, and settings that were changed after they were used: what to run, or a button that runs it. */
import type { Shape } from "../../api/client";
import { quoted } from "../../parts/copy";
import { BeginJob } from "../../parts/job";
import { useProject } from "../../project";
import type { Step } from "./steps";

interface Props {
  steps: Step[];
  unapplied: Shape<"Unapplied">[];
  path: string;
}

export function Changed({ steps, unapplied, path }: Props) {
  const { reload } = useProject();
  const stale = steps.filter((step) => step.state === "stale" || step.state === "damaged");
  return (
    <>
      {stale.map((step) => (
        <div class={`strip wide${step.state === "damaged" ? " bad" : ""}`} key={step.name}>
          <span>
            <b>
              {step.name}: {step.state === "damaged" ? "damaged" : "out of date"}.
            </b>{" "}
            {step.said.join(" ")}
          </span>
          <span class="acts">
            {step.job ? (
              <BeginJob kind={step.job} label="Make it again" small primary={false} onDone={reload} />
            ) : (
              <code>
                unweave {step.command} {quoted(path)}
              </code>
            )}
          </span>
        </div>
      ))}
      {unapplied.length > 0 && (
        <section class="block" aria-labelledby="changed">
          <header>
            <h2 id="changed">Settings that were changed since</h2>
          </header>
          <table class="ledger changed">
            <caption class="vh">Settings whose results are of an earlier value</caption>
            <thead>
              <tr>
                <th>Setting</th>
                <th>Now</th>
                <th>Made with</th>
                <th class="lo">Holds for</th>
              </tr>
            </thead>
            <tbody>
              {unapplied.map((one) => (
                <tr key={`${one.stage} ${one.setting} ${one.artifact}`}>
                  <td>
                    <code>
                      [{one.stage}] {one.setting}
                    </code>
                  </td>
                  <td>
                    <code>{one.now}</code>
                  </td>
                  <td class="mute">
                    <code>{one.made_with}</code>
                  </td>
                  <td class="lo mute">{one.artifact}</td>
                </tr>
              ))}
            </tbody>
          </table>
          <p class="small mute">They count when the step is run again.</p>
        </section>
      )}
    </>
  );
}
