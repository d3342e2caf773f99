/** The entrance: the project's name, a field to search, what there is of it and what is still to do. */
import { useEffect } from "preact/hooks";
import { address, go } from "../../address";
import type { Shape } from "../../api/client";
import { CopyAs, python, quoted } from "../../parts/copy";
import { Lines } from "../../parts/states";
import { useProject } from "../../project";
import { Changed } from "./changed";
import { next, steps } from "./steps";
import { StepTable } from "./steptable";

const EXAMPLES = 4;

export function EntranceView() {
  const { data: project, slow } = useProject();
  useEffect(() => {
    document.title = project ? `${project.name} · unweave` : "unweave";
  }, [project?.name]);
  if (!project) return slow ? <Lines n={9} height={20} /> : null;
  const all = steps(project);
  const missing = next(all);
  return (
    <div class="entrance">
      <h1>
        <bdi>{project.name}</bdi>
      </h1>
      <p class="mute path">
        <bdi>{project.path}</bdi>
        {project.read_only && " · read-only"}
      </p>
      {project.systems.length > 0 && <Ask project={project} />}
      <Changed steps={all} unapplied={project.unapplied} path={project.path} />
      <section class="block" aria-labelledby="in-it">
        <header>
          <h2 id="in-it">What is in this project</h2>
          <span class="r">
            <CopyAs narrow={false} of={copied(project.path)} />
          </span>
        </header>
        <StepTable steps={all} next={missing} project={project} />
      </section>
      <Take path={project.path} />
    </div>
  );
}

function copied(path: string) {
  return {
    command: `unweave doctor ${quoted(path)}`,
    python: `import unweave as uw\nuw.Project.open(${python(path)}).doctor()`,
    json: "/api/project",
  };
}

function Ask({ project }: { project: Shape<"ProjectInfo"> }) {
  const search = (event: SubmitEvent) => {
    event.preventDefault();
    const q = new FormData(event.currentTarget as HTMLFormElement).get("q");
    if (typeof q === "string" && q.trim() !== "") go(address("/search", { q: q.trim() }));
  };
  return (
    <search>
      <form class="ask pair" onSubmit={search}>
        <label>
          <span class="vh">Query</span>
          <input class="field" type="search" name="q" placeholder="Ask a question, or paste a text" />
        </label>
        <button class="btn primary" type="submit">
          Search
        </button>
      </form>
      {project.examples.length > 0 && (
        <ul class="examples" aria-label="Queries to begin with">
          {project.examples.slice(0, EXAMPLES).map((example) => (
            <li key={example}>
              <a href={address("/search", { q: example })}>
                <bdi>{example}</bdi>
              </a>
            </li>
          ))}
        </ul>
      )}
    </search>
  );
}

/** What leaves the project as a file. */
function Take({ path }: { path: string }) {
  const of = quoted(path);
  const files: [command: string, does: string][] = [
    [`unweave report ${of}`, "One page that opens from disk, with hits explained; for a paper or a mail."],
    [`unweave concepts export ${of} concepts.csv`, "All concepts as a table, to review them and import the changes."],
    [
      `unweave export atlas ${of} atlas.parquet`,
      "Passages with their place on the map and their concepts, for embedding-atlas.",
    ],
  ];
  return (
    <section class="block" aria-labelledby="take">
      <header>
        <h2 id="take">Take it with you</h2>
      </header>
      <dl class="take">
        {files.map(([command, does]) => (
          <div key={command}>
            <dt>
              <pre class="cmd">{command}</pre>
            </dt>
            <dd class="mute">{does}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
