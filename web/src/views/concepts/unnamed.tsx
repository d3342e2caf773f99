/** What stands in place of the table before the concepts have names. */
import { BeginJob } from "../../parts/job";
import { Blank } from "../../parts/states";
import { useProject } from "../../project";

export function Unnamed({ level = 1 }: { level?: 1 | 2 }) {
  const { data, reload } = useProject();
  const stage = (name: string) => data?.stages.find((one) => one.name === name);
  const path = data?.path ?? "PROJECT";
  const fitted = stage("sae")?.state ?? "there";
  return (
    <Blank level={level} title="The concepts have no names yet">
      {fitted === "missing" ? (
        <p>{stage("sae")?.said || "There is no dictionary yet: it is trained first."}</p>
      ) : (
        <p>
          Naming gathers examples of each concept, names it, and judges the names on unseen texts. With keyphrases it
          takes a few minutes at most and costs nothing.
        </p>
      )}
      <pre class="cmd">unweave name {path}</pre>
      <p class="then">
        <BeginJob kind="name" label="Start naming" primary onDone={reload} />{" "}
        <a class="btn" href="/jobs">
          Choose a namer …
        </a>
      </p>
    </Blank>
  );
}
