"""The commands about concepts, on a project small enough to read."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from unweave.base.building import build
from unweave.base.records import Passage
from unweave.cli import main
from unweave.concepts import store
from unweave.concepts.concept import DETECTION, ITSELF, OVER_NULLS, Concept, Example, Naming, Related, Score
from unweave.concepts.listing import COLUMNS
from unweave.concepts.store import Concepts
from unweave.project import Project
from unweave.texts.collection import Collection
from unweave.texts.corpus import Corpus

PASSAGES = [
    Passage("p0", "Kites", "They fly\nin the wind."),
    Passage("p1", "", "A \x1b[31mred\u202e boat."),
    Passage("p2", "Bread", "It wants time."),
]
CONCEPTS = [
    Concept(
        5, 1200, 2.0,
        (Naming("keyphrases", "kite festival"), Naming("language-model", "Kites \x1b[31m", "Texts\nabout kites.")),
        (Example("passages", 0, 2.0), Example("sentences", 0, 1.5, "middle"), Example("passages", 2, 0.0, "random")),
        (Related("neighbour", 7, 0.5), Related("parent", 9, 1.0)),
    ),
    Concept(7, 30, 1.0, (Naming("keyphrases", "red boats"),), (Example("passages", 1, 1.0),), flag="hub"),
    Concept(9, 2, 0.5, (Naming("keyphrases", None),)),
]  # fmt: skip


@pytest.fixture(scope="session")
def made(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("made") / "project"
    project = Project.create(path, Collection(passages=PASSAGES))
    Corpus.write(path / "sentences", [Passage("p0/0", "", "Look up!")], settings={}, made_from={})
    mutable = frozenset({store.DATABASE})
    with build(path / "concepts", store.KIND, settings={}, made_from={}, mutable=mutable) as folder:
        database = folder.path / store.DATABASE
        store.create(database)
        store.add(database, CONCEPTS)
        scores = [
            ("language-model", Score(DETECTION, 0.85, 0.75, 0.93, 40)),
            ("language-model", Score(OVER_NULLS, 1.0, 0.97, 1.0, 100)),
            (ITSELF, Score("purity", 0.5, 0.4, 0.6, 9)),
        ]
        store.add_scores(database, [(5, namer, score) for namer, score in scores])
    return project.path


@pytest.fixture
def project(made, tmp_path, monkeypatch) -> Path:
    """Concepts 5 (judged), 7 (flagged) and 9 (nameless)."""
    monkeypatch.setattr(logging.getLogger("unweave"), "handlers", [])  # as it was, once the test is over
    shutil.copytree(made, tmp_path / "project")
    return tmp_path / "project"


def invoke(command: str, project: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["concepts", command, str(project), *map(str, arguments)])


def run(command: str, project: Path, *arguments: object) -> str:
    """What a command prints that succeeds, without what it says on stderr."""
    done = invoke(command, project, *arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


def run_json(command: str, project: Path, *arguments: object) -> dict:
    return json.loads(run(command, project, *arguments, "--json"))


def error(command: str, project: Path, *arguments: object) -> str:
    """The one line of a refused command."""
    done = invoke(command, project, *arguments)
    assert (done.exit_code, done.stdout) == (1, ""), done.output
    (line,) = done.stderr.splitlines()
    return line


def names(project: Path) -> Concepts:
    return Project.open(project).concepts


# --- list and show --------------------------------------------------------------------------------


def test_concepts_are_listed_by_frequency_with_trust_number_and_remark(project):
    done = invoke("list", project)
    assert done.stdout.splitlines() == [
        "    1,200  ● Kites [31m  #5",
        "       30  · red boats  #7  [hub]",
        "        2  (unnamed)  #9",
    ]
    assert done.stderr == "3 of 3 concepts, by the passages they are in\n"
    assert invoke("list", project, "--top", 1).stderr.startswith("1 of 3 concepts")


@pytest.mark.parametrize(
    ("options", "listed"),
    [
        (["--trust", "holds"], [5]),
        (["--trust", "unscored"], [7, 9]),
        (["--trust", "unscored", "--trust", "holds"], [5, 7, 9]),
        (["--flagged"], [7]),
        (["--not-flagged"], [5, 9]),
        (["--grep", "#9"], [9]),
        (["--sort", "df", "--ascending"], [9, 7, 5]),
        (["--sort", "name"], [7, 5, 9]),
        (["--sort", "name", "--ascending", "--top", "1"], [5]),
        (["--trust", "confirmed"], []),
        (["--flag", "hub"], [7]),
        (["--flag", "hu"], []),
        (["--grep", "KITE"], [5]),
        (["--grep", "boat", "--flag", "hub"], [7]),
        (["--grep", "boat", "--trust", "holds"], []),
        (["--grep", "("], []),
        (["--top", "2"], [5, 7]),
    ],
)
def test_a_list_holds_what_it_was_asked_for(project, options, listed):
    assert [concept["latent"] for concept in run_json("list", project, *options)["concepts"]] == listed


def test_a_list_by_what_is_not_known_is_refused(project):
    done = invoke("list", project, "--sort", "activation")
    assert done.exit_code == 2 and "--sort activation goes with --text" in done.stderr
    assert invoke("list", project, "--sort", "holds").stderr.endswith("by the activation from which their names hold\n")


def test_lists_are_sorted_by_what_the_pages_sort_by():
    (sort,) = (option for option in main.commands["concepts"].commands["list"].params if option.name == "sort")
    assert set(sort.type.choices) == COLUMNS.keys()


def test_a_merged_concept_is_listed_with_the_name_it_has_now(project):
    run("merge", project, 7, 5)
    assert "       30  ● Kites [31m  #7  [hub]  merged into #5" in run("list", project)
    assert run_json("list", project, "--grep", "kites")["concepts"][1] == {
        "latent": 7, "name": "Kites \x1b[31m", "trust": "holds", "holds_from": None, "returns": None,
        "document_frequency": 30, "flag": "hub", "merged_into": 5,
    }  # fmt: skip


def test_a_concept_is_shown_with_all_that_is_known_of_it(project):
    assert run("show", project, 5).splitlines() == [
        "● Kites [31m  #5",
        "in 1,200 passages; strongest activation 2.000",
        (
            "language-model  ● Kites [31m: Texts about kites.  (detection 0.85 [0.75, 0.93] of 40)"
            "  (surely better than 97% of names of random directions)"
        ),
        "    keyphrases  · kite festival",
        "       no name  (purity 0.50 [0.40, 0.60] of 9)",
        "top:",
        "     2.000  Kites They fly in the wind.",
        "middle:",
        "     1.500  Look up!",
        "random:",
        "     0.000  Bread It wants time.",
        "neighbour:",
        "     0.500  · red boats  #7",
        "parent:",
        "     1.000  (unnamed)  #9",
    ]
    assert run("show", project, 9).splitlines()[2:] == ["    keyphrases  - found no name"]


def test_a_concept_as_json_holds_the_same(project):
    shown = run_json("show", project, 5)
    assert (shown["name"], shown["trust"], shown["document_frequency"]) == ("Kites \x1b[31m", "holds", 1200)
    assert [(naming["namer"], naming["trust"]) for naming in shown["namings"]] == [
        ("language-model", "holds"),
        ("keyphrases", "unscored"),
    ]
    assert shown["scores"]["language-model"][0]["low"] == 0.75
    assert [(example["band"], example["text"]) for example in shown["examples"]] == [
        ("top", PASSAGES[0].content),
        ("middle", "Look up!"),
        ("random", PASSAGES[2].content),
    ]
    assert shown["related"][0] == {"relation": "neighbour", "other": 7, "weight": 0.5, "name": "red boats"}


def test_nothing_that_texts_or_namers_say_reaches_a_terminal_as_a_command(project):
    printed = "".join([run("list", project), run("show", project, 5), run("show", project, 7)])
    assert "\x1b" not in printed
    assert "\u202e" not in printed
    assert "\\u001b" in run("show", project, 5, "--json")


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        ("show", []), ("rename", ["toys"]), ("lock", []), ("unlock", []), ("flag", ["mine"]), ("flag", ["--clear"]),
        ("merge", [5]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("latent", [6, 10**30])
def test_a_latent_without_a_concept_is_refused(project, command, arguments, latent):
    line = error(command, project, latent, *arguments)
    assert line == (
        f"Error: latent {latent} never fired or does not exist; live latents are among 5..9: unweave concepts list"
    )
    assert error("history", project, "--latent", latent) == line


# --- edits ----------------------------------------------------------------------------------------


def test_each_edit_is_shown_as_it_is_made_noted_and_can_be_undone(project):
    made = [
        run("rename", project, 5, "toys", "--description", "Things that\nfly."),
        run("unlock", project, 5),
        run("lock", project, 5),
        run("flag", project, 5, "mine"),
        run("flag", project, 7, "--clear"),
        run("merge", project, 7, 9),
    ]
    history = run("history", project)
    assert history == "".join(made)
    assert [line.split()[::2][:2] for line in history.splitlines()][:2] == [["1", "rename"], ["2", "unlock"]]
    assert [line[line.index("#") :] for line in history.splitlines()] == [
        "#5  (none) → toys: Things that fly.",
        "#5  toys: Things that fly. → (none)",
        "#5  (none) → Kites [31m: Texts about kites.",
        "#5  (none) → mine",
        "#7  hub → (none)",
        "#7  (none) → #9",
    ]
    assert run("history", project, "--latent", 7) == "".join(made[4:])
    assert run("undo", project).endswith("#7  (none) → #9  (undone)\n")
    assert run("undo", project, "--number", 5).endswith("#7  hub → (none)  (undone)\n")
    assert names(project).concept(7).flag == "hub"
    assert [edit["undone"] for edit in run_json("history", project)["edits"]] == [False] * 4 + [True] * 2


def test_an_edit_as_json_can_be_read_by_programs(project):
    edit = run_json("rename", project, 5, "toys")["edit"]
    assert (edit["number"], edit["action"], edit["latent"], edit["undone"]) == (1, "rename", 5, False)
    assert edit["after"]["naming"]["name"] == names(project)[5] == "toys"
    assert run_json("rename", project, 5, "toys") == {"edit": None}
    assert run_json("undo", project)["edit"]["undone"] is True


def test_what_is_so_already_is_said_and_changes_nothing(project):
    for command, *arguments in (["flag", 7, "hub"], ["unlock", 5], ["flag", 5, "--clear"]):
        done = invoke(command, project, *arguments)
        assert (done.exit_code, done.stdout) == (0, "")
        assert done.stderr == "that is so already; nothing was changed\n"
    assert invoke("history", project).stderr == "nobody has changed anything yet\n"


@pytest.mark.parametrize(
    ("command", "arguments", "said"),
    [
        ("rename", [5, "\x1b"], "the name is empty; expected a few words"),
        ("rename", [5, "x" * 61], "the name has 61 characters, expected at most 60: "),
        ("lock", [9], "latent 9 has no name to confirm; give it one: unweave concepts rename"),
        ("merge", [5, 5], "latent 5 cannot be merged into latent 5: they are one"),
        ("undo", [], "there is no edit to undo"),
        ("undo", ["--number", 3], "there is no edit 3"),
    ],
)
def test_an_edit_that_cannot_be_made_is_refused_in_one_line(project, command, arguments, said):
    assert error(command, project, *arguments).startswith(f"Error: {said}")
    assert run_json("history", project) == {"edits": []}


@pytest.mark.parametrize("arguments", [[5], [5, "mine", "--clear"]])
def test_a_remark_is_either_given_or_cleared(project, arguments):
    done = invoke("flag", project, *arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Error: give a remark, or --clear to take away the one that is there" in done.stderr


# --- export and import ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl"])
def test_concepts_go_to_a_file_and_back(project, tmp_path, name):
    file = tmp_path / name
    assert run("export", project, file) == f"{file}: 3 concepts\n"
    done = invoke("import", project, file)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "0 edit(s) made\n")
    text = file.read_text(encoding="utf-8")
    assert "Kites They fly in the wind." in text
    file.write_text(text.replace("red boats", "ships", 1), encoding="utf-8")
    would = invoke("import", project, file, "--dry-run")
    assert would.stdout.endswith("  rename  #7  (none) → ships\n")
    assert would.stderr == "1 edit(s) would be made\n"
    assert names(project)[7] == "red boats"
    assert run("import", project, file).endswith("#7  (none) → ships\n")
    assert names(project)[7] == "ships"


def test_export_and_import_as_json(project, tmp_path):
    file = tmp_path / "out.jsonl"
    assert run_json("export", project, file) == {"file": str(file), "n_concepts": 3}
    file.write_text('{"latent": 9, "name": "tide"}\n')
    would, made = run_json("import", project, file, "--dry-run"), run_json("import", project, file)
    assert (would["dry_run"], made["dry_run"]) == (True, False)
    assert [edit["action"] for edit in would["edits"]] == [edit["action"] for edit in made["edits"]] == ["rename"]
    assert run_json("import", project, file)["edits"] == []


def test_a_bad_file_is_refused_in_one_line_and_nothing_of_it_is_made(project, tmp_path):
    (tmp_path / "in.csv").write_text("latent,name\n5,toys\n6,ships\n")
    line = error("import", project, tmp_path / "in.csv")
    assert line.startswith(f"Error: {tmp_path}/in.csv, line 3: latent 6 never fired or does not exist; live latents")
    assert run_json("history", project) == {"edits": []}
    assert "cannot tell its format" in error("export", project, tmp_path / "out.xlsx")
    assert "No such file or directory" in error("export", project, tmp_path / "nowhere" / "out.csv")


# --- help -----------------------------------------------------------------------------------------


def test_every_command_and_option_has_help():
    group = main.commands["concepts"]
    assert isinstance(group, click.Group)
    assert set(group.commands) == {
        "list", "show", "history", "rename", "lock", "unlock", "flag", "merge", "undo", "export", "import", "adopt",
    }  # fmt: skip
    for command in group.commands.values():
        assert command.help
        assert all(option.help for option in command.params if isinstance(option, click.Option))
        assert any(option.name == "as_json" for option in command.params)
