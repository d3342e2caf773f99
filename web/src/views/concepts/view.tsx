/** The table of all concepts, by words of their names or by a text that they fire on; and their families. */
import { useEffect } from "preact/hooks";
import { address, changed, go, useAddress } from "../../address";
import { CopyAs } from "../../parts/copy";
import { Blank } from "../../parts/states";
import { useProject } from "../../project";
import { copyableFamilies, Families } from "./families";
import { copyable, filters, readQuery } from "./query";
import { ConceptTable } from "./table";
import { Tools } from "./tools";
import { Unnamed } from "./unnamed";
import { useTable } from "./use_table";

export function ConceptsView() {
  const { params } = useAddress();
  const families = params.get("show") === "families";
  const project = useProject();
  useEffect(() => {
    document.title = `${families ? "Families of concepts" : "Concepts"} · unweave`;
  }, [families]);
  const path = project.data?.path ?? "PROJECT";
  if (project.data?.n_concepts === null) return <Unnamed />;
  return (
    <>
      <div class="concepts-head">
        <h1>Concepts</h1>
        <nav class="seg" aria-label="Concepts or families">
          <a href="/concepts" class="plain" aria-current={families ? undefined : "page"}>
            Table
          </a>
          <a
            href={address("/concepts", { show: "families" })}
            class="plain"
            aria-current={families ? "page" : undefined}
          >
            Families
          </a>
        </nav>
        <CopyAs of={families ? copyableFamilies(path) : copyable(readQuery(params), path)} narrow={false} />
      </div>
      {families ? <Families words={params.get("words") ?? ""} /> : <Table />}
    </>
  );
}

function Table() {
  const { params } = useAddress();
  const query = readQuery(params);
  const list = useTable(query);
  const total = list.pages?.total;
  const missing = list.error?.kind === "MissingArtifact" && !list.pages;
  if (missing) return <Unnamed level={2} />;
  return (
    <>
      <Tools query={query} total={list.loading && !list.pages ? undefined : total} />
      {query.text && (
        <p class="mute by-text">
          The text is embedded as a passage would be. What it activates most comes first; a grey bar is a trace, below
          where the name holds.
        </p>
      )}
      {total === 0 && !list.loading ? <Nothing words={query.words} text={query.text} /> : null}
      {total !== 0 && <ConceptTable query={query} list={list} filtered={filters(query)} />}
    </>
  );
}

function Nothing({ words, text }: { words: string; text: string }) {
  const clear = (
    <button class="btn" type="button" onClick={() => go("/concepts")}>
      Clear
    </button>
  );
  if (!words || text)
    return (
      <Blank level={2} title="No concept is left">
        <p>{text ? "None that this text activates passes the filters." : "None passes the filters."}</p>
        <p>{clear}</p>
      </Blank>
    );
  return (
    <Blank level={2} title="No name has these words in it">
      <p>
        Names are short. Search by text instead: it finds the concepts that “<bdi>{words}</bdi>” activates, whatever
        they are called.
      </p>
      <p>
        <button
          class="btn primary"
          type="button"
          onClick={() => go(changed({ words: null, text: words, sort: null, descending: null }))}
        >
          Search by text
        </button>{" "}
        {clear}
      </p>
    </Blank>
  );
}
