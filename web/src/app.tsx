/** The frame around every view: the bar at the top, the keys, and which view an address shows. */
import { useEffect, useState } from "preact/hooks";
import { address, go, useAddress } from "./address";
import { api, asked, type Shape } from "./api/client";
import { useLoaded } from "./api/use";
import { KeysDialog, listen, useKeys } from "./keys";
import { count } from "./parts/figures";
import { JobTag } from "./parts/job";
import { Patterns } from "./parts/patterns";
import { Blank, Failed } from "./parts/states";
import { ProjectContext } from "./project";
import { switchTheme } from "./theme";
import { AuditView } from "./views/audit/view";
import { ConceptView } from "./views/concept/view";
import { ConceptsView } from "./views/concepts/view";
import { EvaluationView } from "./views/evaluation/view";
import { JobsView } from "./views/jobs/view";
import { MapView } from "./views/map/view";
import { PassageView } from "./views/passage/view";
import { EntranceView } from "./views/project/view";
import { SearchView } from "./views/search/view";

const TABS: [path: string, name: string][] = [
  ["/search", "Search"],
  ["/concepts", "Concepts"],
  ["/evaluation", "Evaluation"],
  ["/audit", "Audit"],
  ["/map", "Map"],
  ["/jobs", "Jobs"],
];

function View({ path }: { path: string }) {
  const concept = /^\/concepts\/(\d{1,9})$/.exec(path);
  if (concept) return <ConceptView latent={Number(concept[1])} />;
  switch (path) {
    case "/":
      return <EntranceView />;
    case "/search":
      return <SearchView />;
    case "/passage":
      return <PassageView />;
    case "/concepts":
      return <ConceptsView />;
    case "/evaluation":
      return <EvaluationView />;
    case "/audit":
      return <AuditView />;
    case "/map":
      return <MapView />;
    case "/jobs":
      return <JobsView />;
    default:
      return (
        <Blank title="There is no such page">
          <p>
            The address <code>{path}</code> belongs to no view. <a href="/">To the project</a>
          </p>
        </Blank>
      );
  }
}

function Top({
  path,
  project,
  onKeys,
}: {
  path: string;
  project: Shape<"ProjectInfo"> | undefined;
  onKeys: () => void;
}) {
  return (
    <header class="top">
      <a class="skip" href="#main">
        To the content
      </a>
      <a class="brand" href="/">
        unweave
      </a>
      {project && (
        <span class="project">
          <b>
            <bdi>{project.name}</bdi>
          </b>
          <span class="only-wide">
            {count(project.n_passages)} passages
            {project.n_concepts !== null && `, ${count(project.n_concepts)} concepts`}
          </span>
        </span>
      )}
      <nav class="nav" aria-label="Views">
        {TABS.map(([to, name]) => (
          <a key={to} href={address(to)} aria-current={path === to || path.startsWith(`${to}/`) ? "page" : undefined}>
            {name}
            {to === "/jobs" && <JobTag />}
          </a>
        ))}
      </nav>
      <div class="right">
        <button class="btn quiet" type="button" onClick={switchTheme}>
          Light or dark
        </button>
        <button class="btn quiet" type="button" onClick={onKeys}>
          Keys <span class="kbd">?</span>
        </button>
      </div>
    </header>
  );
}

export function App() {
  const { path } = useAddress();
  const [keys, showKeys] = useState(false);
  const project = useLoaded("project", (signal) => asked(api.GET("/api/project", { signal })));
  useEffect(() => {
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  }, []);
  useKeys([
    { on: "?", shown: "?", does: "Show all keys", run: () => showKeys(true) },
    { on: "/", shown: "/", does: "Go to the query", run: toQuery },
  ]);
  return (
    <ProjectContext.Provider value={project}>
      <Patterns />
      <Top path={path} project={project.data} onKeys={() => showKeys(true)} />
      <main id="main" tabIndex={-1}>
        {project.error && <Failed error={project.error} onRetry={project.reload} />}
        <View path={path} />
      </main>
      {keys && <KeysDialog onClose={() => showKeys(false)} />}
    </ProjectContext.Provider>
  );
}

function toQuery(): void {
  const field = document.querySelector<HTMLInputElement>("input[type=search]");
  if (field) field.select();
  else go("/search");
}
