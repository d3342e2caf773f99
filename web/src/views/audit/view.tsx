/** The last audit: what holds of the retriever first, then what was looked at. */
import { useEffect } from "preact/hooks";
import { api, asked } from "../../api/client";
import { useLoaded } from "../../api/use";
import { CopyAs, type Copyable, python, quoted } from "../../parts/copy";
import { count, share } from "../../parts/figures";
import { BeginJob } from "../../parts/job";
import { Blank, Failed, Lines } from "../../parts/states";
import { type ProjectInfo, useProject } from "../../project";
import { type Audit, byKind, verdict } from "./audit";
import { ClaimCard } from "./claim";
import { Counts, Labels } from "./tables";

function copyable(project: ProjectInfo | undefined, audit?: Audit): Copyable {
  const path = project?.path ?? "PROJECT";
  const system = audit?.about.system;
  const other = system && system !== "dense";
  return {
    command: `unweave audit ${quoted(path)}${other ? ` --system ${quoted(system)}` : ""}`,
    python: `import unweave as uw\nuw.Project.open(${python(path)}).audit(${other ? `system=${python(system)}` : ""})`,
    json: "/api/audit",
  };
}

function Head({ of }: { of: Audit }) {
  const { about } = of;
  const made = new Date(of.date);
  return (
    <ul class="facts">
      <li>
        Of <b>{about.system ? <bdi>{about.system}</bdi> : <bdi>{about.run?.file ?? "a run"}</bdi>}</b>
      </li>
      <li>
        <time dateTime={of.date} title={of.date}>
          {made.toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "short" })}
        </time>
      </li>
      <li>
        <b>{count(about.passages)}</b> passages
      </li>
      <li>
        <b>{count(about.queries)}</b> queries, {count(about.judged)} of them judged
      </li>
      <li>
        <b>{share(about.agreement)}</b> of the first ten hits in common with dense search
      </li>
    </ul>
  );
}

function Made({ of }: { of: Audit }) {
  const { about } = of;
  return (
    <dl class="kv small mute">
      <dt>Encoder</dt>
      <dd>
        <bdi>{about.encoder ?? "not known"}</bdi>
      </dd>
      <dt>Measure</dt>
      <dd>{about.measure}</dd>
      <dt>Seed</dt>
      <dd>{about.seed}</dd>
      <dt>Corpus</dt>
      <dd class="mono audit-sum">{about.corpus}</dd>
      <dt>Dictionary</dt>
      <dd class="mono audit-sum">
        {about.dictionary}, {count(about.latents)} latents
      </dd>
    </dl>
  );
}

function Found({ audit, project }: { audit: Audit; project: ProjectInfo | undefined }) {
  return (
    <>
      <header class="chead">
        <div>
          <h1 class="audit-title">{verdict(audit)}</h1>
          <Head of={audit} />
        </div>
        <CopyAs of={copyable(project, audit)} />
      </header>
      <div class="audit-body">
        <section class="block" aria-labelledby="holds">
          <header>
            <h2 id="holds">What holds</h2>
          </header>
          <p class="small mute audit-why">
            A claim stands here if its corrected p is below .05, its effect is as large as matters for its kind, and a
            counterfactual, which changes the claimed cause and nothing else, shows it again.
          </p>
          {audit.claims.length === 0 && <p class="audit-none">Nothing: no test held.</p>}
          {byKind(audit.claims).map(([kind, claims]) => (
            <section key={kind}>
              <h3 class="audit-kind">
                <bdi>{kind}</bdi>
              </h3>
              <ul class="cards">
                {claims.map((claim) => (
                  <ClaimCard key={claim.sentence} of={claim} />
                ))}
              </ul>
            </section>
          ))}
        </section>
        {audit.labels.length > 0 && (
          <section class="block" aria-labelledby="labels">
            <header>
              <h2 id="labels">Labels and concepts</h2>
            </header>
            <p class="small mute audit-why">
              For each label, the concept that tells its passages best from others, chosen on one half of the passages
              and measured on the other. The probe reads the whole embedding: it is the ceiling, the tick. Lost is the
              share of passages that lose the label when the concept is taken from them, beside as much of another.
            </p>
            <Labels of={audit.labels} />
          </section>
        )}
        <section class="block" aria-labelledby="tested">
          <header>
            <h2 id="tested">What was tested</h2>
          </header>
          <Counts of={audit.counts} />
          {audit.notes.length > 0 && (
            <ul class="small mute audit-notes">
              {audit.notes.map((note) => (
                <li key={note}>
                  <bdi>{note}</bdi>
                </li>
              ))}
            </ul>
          )}
        </section>
        <section class="block" aria-labelledby="made">
          <header>
            <h2 id="made">How it was made</h2>
          </header>
          <Made of={audit} />
        </section>
      </div>
    </>
  );
}

export function AuditView() {
  const { data: project } = useProject();
  const { data, error, slow, reload } = useLoaded("audit", (signal) => asked(api.GET("/api/audit", { signal })));
  useEffect(() => {
    document.title = `Audit · ${project?.name ?? "unweave"}`;
  }, [project?.name]);
  const missing = error && (error.status === 404 || error.kind === "MissingArtifact");
  if (error && missing)
    return (
      <Blank title="Nothing was audited yet">
        <p>
          An audit tests a retriever for what it gets wrong: concepts that speak for failures, bias by length, position,
          repetition and literal match, hubs, boilerplate, markup, personal data and leaked questions. Each claim is
          checked by a counterfactual before it stands here.
        </p>
        <p>
          <BeginJob kind="audit" label="Audit dense search" onDone={reload} />
        </p>
        <pre class="cmd">{copyable(project).command}</pre>
      </Blank>
    );
  if (error)
    return (
      <>
        <h1>Audit</h1>
        <Failed error={error} onRetry={reload} />
      </>
    );
  if (data) return <Found audit={data.audit as unknown as Audit} project={project} />;
  return slow ? <Lines /> : null;
}
