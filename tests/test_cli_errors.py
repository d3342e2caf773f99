"""The command line when something is wrong: one line that says what, an exit code, and nothing half-made."""

import gzip
import importlib
import json
import logging
import os
import re
import shutil
import subprocess
import sys
import typing
from dataclasses import fields
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

import unweave.cli as unweave_cli
from unweave.cli import main
from unweave.cli.app import SECTIONS
from unweave.cli.options import opened_with
from unweave.config import FitConfig
from unweave.errors import UnweaveError
from unweave.settings import Settings, choices_of, documentation, update

TWO = [{"_id": "a", "text": "The moon pulls the sea."}, {"_id": "b", "text": "Wind turns the blades."}]
COMMANDS = list(main.commands)
GROUPED = [f"{name} {sub}" for name, group in main.commands.items() if isinstance(group, click.Group)
           for sub in group.commands]  # fmt: skip
GROUPS = ("sae", "index", "concepts", "export", "reproduce")
OF_A_PROJECT = [n for n in COMMANDS if n not in (*GROUPS, "init", "suite", "demo", "serve-model", "plan")]
SETTINGS = [
    (stage, field.name) for stage, config in typing.get_type_hints(Settings).items() for field in fields(config)
]
OF_A_PROJECT += [name for name in GROUPED if not name.startswith("sae ")]


@pytest.fixture(autouse=True)
def notes_end_with_the_test(monkeypatch):
    # The command line sends the library's notes to the stderr of the moment; here that is gone after each command.
    monkeypatch.setattr(logging.getLogger("unweave"), "handlers", [])


def unweave(*arguments: object) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def unweave_process(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """The command as a user types it."""
    command = [sys.executable, "-c", "from unweave.cli import main; main()", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, env=os.environ | environment)


def error(done: Result | subprocess.CompletedProcess) -> str:
    """The one line that a refused command says."""
    if isinstance(done, Result):
        assert isinstance(done.exception, SystemExit), f"a traceback: {done.exception!r}"
    code = done.exit_code if isinstance(done, Result) else done.returncode
    assert (code, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("Error: ")
    return line


def files(folder: Path) -> dict[str, bytes]:
    """Every file below a folder with its contents."""
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def jsonl(path: Path, rows: list[dict]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def beir(folder: Path, judged: str) -> Path:
    jsonl(folder / "corpus.jsonl", TWO)
    jsonl(folder / "queries.jsonl", [{"_id": "q1", "text": "What pulls the sea?"}])
    (folder / "qrels").mkdir()
    (folder / "qrels" / "test.tsv").write_text(f"query-id\tcorpus-id\tscore\nq1\ta\t1\n{judged}\n")
    return folder


@pytest.fixture
def project(tmp_path) -> Path:
    """A project of two passages that is just begun."""
    assert unweave("init", tmp_path / "project", "--corpus", jsonl(tmp_path / "two.jsonl", TWO)).exit_code == 0
    return tmp_path / "project"


# --- init -----------------------------------------------------------------------------------------


def test_init_makes_a_project_that_says_where_its_settings_are(tmp_path):
    done = unweave("init", tmp_path / "mine", "--corpus", jsonl(tmp_path / "two.jsonl", TWO))
    assert (done.exit_code, done.stderr) == (0, "")
    settings = tmp_path / "mine" / "unweave.toml"
    assert done.stdout.splitlines() == [f"{tmp_path}/mine: 2 passages, 0 queries", f"settings: {settings}"]
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["corpus", "queries", "unweave.toml"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("empty.jsonl", "", "the corpus is empty: its source holds no passage"),
        ("twice.jsonl", json.dumps(TWO[0]) + "\n" + json.dumps(TWO[0]), "occur more than once, first 'a' at positions"),
        ("cut.jsonl", json.dumps(TWO[0]) + '\n{"_id": "b', "cut.jsonl, line 2: not JSON"),
        ("unnamed.csv", "id,text\n,one\n", "passage 0 (counting from 0) has an empty id"),
        ("short.tsv", "id\ttext\na\n", "short.tsv, line 2: not as many columns"),
        ("words.csv", "id,words\na,one\n", "words.csv, line 2: none of the fields text, contents"),
        ("cut.parquet", "PAR1", "cut.parquet: not a whole Parquet file"),
        ("paper.pdf", "%PDF", "paper.pdf: cannot tell its format"),
    ],
)
def test_init_refuses_a_bad_corpus_and_leaves_nothing(tmp_path, name, content, said):
    (tmp_path / name).write_text(content)
    assert said in error(unweave("init", tmp_path / "mine", "--corpus", tmp_path / name))
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_init_refuses_a_path_where_nothing_is(tmp_path):
    line = error(unweave("init", tmp_path / "mine", "--corpus", tmp_path / "nowhere"))
    assert line.endswith(
        "nowhere is neither a file nor a folder, nor a built-in collection ('vital-articles'), nor irds:ID or mteb:TASK"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        ("q1\tz\t1", "qrels/test name 1 passage id(s) that the corpus does not have, first 'z' for query 'q1'"),
        ("q9\ta\t1", "qrels/test judge 1 query id(s) that the queries file does not have, first 'q9'"),
        ("q1\ta\tgood", "test.tsv:3: the grade 'good' is not a whole number"),
    ],
)
def test_init_refuses_bad_judgements_and_leaves_nothing(tmp_path, judged, said):
    source = beir(tmp_path / "beir", judged)
    assert said in error(unweave("init", tmp_path / "mine", "--corpus", source))
    assert [path.name for path in tmp_path.iterdir()] == ["beir"]


def test_judgements_of_unknown_passages_are_left_out_where_that_is_asked_for(tmp_path):
    source = beir(tmp_path / "beir", "q1\tz\t1")
    refused = error(unweave("init", tmp_path / "mine", "--corpus", source))
    assert refused.endswith("To leave them out: --drop-unknown")
    assert unweave("init", tmp_path / "mine", "--corpus", source, "--drop-unknown").exit_code == 0
    kept = (tmp_path / "mine" / "queries" / "qrels" / "test.tsv").read_text()
    assert kept == "query-id\tcorpus-id\tscore\nq1\ta\t1\n"


def test_init_leaves_a_project_that_is_there_as_it_is(project, tmp_path):
    before = files(project)
    assert "is a project already" in error(unweave("init", project, "--corpus", tmp_path / "two.jsonl"))
    assert files(project) == before


def test_init_on_a_full_disk_leaves_nothing(small_disk, tmp_path):
    much = tmp_path / "much.csv.gz"
    much.write_bytes(gzip.compress(b"id,text\na," + b"x" * 100_000))
    line = error(unweave_process("init", small_disk / "mine", "--corpus", much))
    assert "No space left on device" in line or "File too large" in line
    assert list(small_disk.iterdir()) == []
    little = jsonl(tmp_path / "little.jsonl", TWO)
    assert unweave_process("init", small_disk / "mine", "--corpus", little).returncode == 0


# --- steps out of order ---------------------------------------------------------------------------

FILES = ("jsonl", "parquet", "anserini", "ciff", "elasticsearch", "opensearch", "vespa")
PLACES = ("qdrant-edge", "qdrant", "postgresql", "milvus")
"""Engines that passages are written for as files, and those that have to be told a place."""
ARGUMENTS = {
    "search": ["sea"], "explain": ["sea", "a"],
    "difference": ["sea", "a", "b"], "counterfactual": ["sea", "a", "--scale", "0=0"],
    "prevalent": ["sea"], "paths": ["a"], "decompose": ["sea"],
    "phrases": ["sea"], "contrast": ["nowhere"], "models": ["nowhere"], "add": ["--corpus", "nowhere"],
    "carrying": ["a", "0"], "compare": ["dense", "BM25"],
    **{f"concepts {name}": ["0"] for name in ("show", "lock", "unlock")},
    "concepts rename": ["0", "tides"], "concepts flag": ["0", "mine"], "concepts merge": ["0", "1"],
    "search-all": ["out.trec"], "concepts export": ["out.csv"], "concepts import": [__file__],
    "concepts adopt": ["nowhere"], "export atlas": ["out.parquet"],
    **{f"export {engine}": ["out"] for engine in FILES},
    **{f"export {engine}": ["out", "--to", "own"] for engine in PLACES},
}  # fmt: skip


@pytest.mark.parametrize("command", OF_A_PROJECT)
def test_a_folder_that_is_not_a_project_is_refused(tmp_path, command):
    (tmp_path / "notes.txt").write_text("mine")
    line = error(unweave(*command.split(), tmp_path, *ARGUMENTS.get(command, [])))
    assert f"{tmp_path} is not a project: it has no unweave.toml; make one with: unweave init" in line
    assert files(tmp_path) == {"notes.txt": b"mine"}


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("fit", ["embed"]),
        ("name", ["fit"]),
        ("index build", ["fit"]),
        ("index compact", ["index build"]),
        ("search", ["fit", "index build"]),
        *((name, ["name"]) for name in OF_A_PROJECT if name.startswith("concepts ")),
    ],
)
def test_a_step_out_of_order_names_the_command_to_run(project, command, needed):
    before = files(project)
    line = error(unweave(*command.split(), project, *ARGUMENTS.get(command, [])))
    assert line.endswith(tuple(f"run: unweave {name} {project}" for name in needed))
    assert files(project) == before


def test_an_id_that_the_corpus_does_not_have_is_refused(project):
    line = error(unweave("explain", project, "sea", "z"))
    assert line == "Error: the corpus has no passage with the id 'z'; ids are shown by: unweave search"


def test_an_empty_query_is_refused(project):
    assert error(unweave("search", project, "  ")) == "Error: the query is empty; give a question or a few words"


def test_a_truncated_artefact_is_named_with_its_sizes(project, tmp_path):
    np.save(tmp_path / "x.npy", np.ones((2, 3), np.float32))
    passages = project / "corpus" / "passages.jsonl"
    whole = passages.stat().st_size
    os.truncate(passages, 10)
    line = error(unweave("embed", project, "--passages", tmp_path / "x.npy"))
    assert f"passages.jsonl has 10 bytes, expected {whole}: it was truncated or changed; rebuild the corpus" in line


@pytest.mark.parametrize(
    ("damaged", "said"),
    [(["corpus/passages.jsonl"], "1 of 2 artefacts is damaged"),
     (["corpus/passages.jsonl", "queries/queries.jsonl"], "2 of 2 artefacts are damaged")],
)  # fmt: skip
def test_verify_says_how_many_artefacts_are_damaged(tmp_path, damaged, said):
    project = tmp_path / "project"
    assert unweave("init", project, "--corpus", beir(tmp_path / "beir", "q1\tb\t0")).exit_code == 0
    for name in damaged:
        whole = (project / name).read_bytes()
        (project / name).write_bytes(b" " + whole[1:])
    done = unweave("verify", project)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"Error: {said}; first: ")


# --- embeddings -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ([[1, np.nan], [1, 1]], "x.npy: row 0 holds NaN or infinite values"),
        ([[1, 1], [0, 0]], "x.npy: row 1 is a zero vector, which has no direction"),
        ([[1, 1]], "x.npy has 1 rows, but the project has 2 passages"),
        ([1, 1], "x.npy: expected floats of shape (n, d_in), got float64 of shape (2,)"),
        ([[1, None], [1, 1]], "x.npy: not a whole .npy array"),
    ],
)
def test_brought_embeddings_that_cannot_be_used_are_refused_and_nothing_is_left(project, tmp_path, array, said):
    np.save(tmp_path / "x.npy", np.array(array, dtype=object if None in np.ravel(array) else float))
    before = set(files(project))
    assert said in error(unweave("embed", project, "--passages", tmp_path / "x.npy"))
    assert set(files(project)) == before


def test_queries_of_another_width_than_the_passages_are_refused(tmp_path):
    assert unweave("init", tmp_path / "p", "--corpus", beir(tmp_path / "beir", "q1\tb\t0")).exit_code == 0
    np.save(tmp_path / "x.npy", np.ones((2, 3)))
    np.save(tmp_path / "q.npy", np.ones((1, 4)))
    refused = unweave("embed", tmp_path / "p", "--passages", tmp_path / "x.npy", "--queries", tmp_path / "q.npy")
    assert "q.npy: rows are 4 wide, but the passages' embeddings 3" in error(refused)
    assert not (tmp_path / "p" / "embeddings" / "queries").exists()


def test_an_encoder_that_is_not_there_is_named_with_the_way_out(project, tmp_path):
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "cache")}
    before = set(files(project))
    arguments = ["--model", "no/such-model", "--sentences", "0"]
    done = unweave_process("embed", project, *arguments, **offline)
    looked, line = done.stderr.strip().splitlines()
    assert done.returncode == 1 and "loading no/such-model from the hub's cache, or from the hub" in looked
    assert line.startswith("Error: encoder 'no/such-model' could not be loaded")
    assert "Give the path of a folder, or use the default 'sentence-transformers/all-MiniLM-L6-v2'" in line
    assert set(files(project)) == before


# --- settings and usage ---------------------------------------------------------------------------


def test_an_option_out_of_range_is_refused_and_the_settings_stay(project):
    before = files(project)
    assert "[fit]: held_out must lie between 0 and 1, got 1.5" in error(unweave("fit", project, "--held-out", "1.5"))
    assert files(project) == before


class Cancelled(UnweaveError):
    pass


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError, MemoryError, OSError, Cancelled])
def test_a_command_that_does_not_succeed_leaves_the_settings_to_the_letter(project, error):
    before = files(project)["unweave.toml"]

    def stopped() -> None:
        with opened_with(project, fit={"k": 7, "steps": 10}) as opened:
            assert (opened.settings.fit.k, opened.settings.fit.steps) == (7, 10)  # it works with what was given
            raise error("stopped")

    with pytest.raises(error, match="stopped"), click.Context(main):
        stopped()
    assert files(project)["unweave.toml"] == before


def test_a_command_that_succeeds_keeps_what_was_given_and_what_others_changed_meanwhile(project):
    with click.Context(main), opened_with(project, fit={"k": 7, "steps": None}):
        update(project / "unweave.toml", {"fit": {"seed": 5}})  # another command, while this one works
        update(project / "unweave.toml", {"embed": {"language": "de"}})
    kept = Settings.read(project / "unweave.toml")
    assert (kept.fit, kept.embed.language) == (FitConfig(k=7, seed=5), "de")


def test_a_command_that_does_not_succeed_rolls_back_nothing_that_others_changed(project):
    with click.Context(main), pytest.raises(MemoryError), opened_with(project, fit={"k": 7}):
        update(project / "unweave.toml", {"fit": {"k": 9}})
        raise MemoryError
    assert Settings.read(project / "unweave.toml").fit.k == 9


def test_a_damaged_settings_file_is_refused(project):
    (project / "unweave.toml").write_text("[fit]\nkk = 3\n")
    assert "unweave.toml, [fit]: unknown setting 'kk'" in error(unweave("index", "build", project))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["serch", "P", "sea"], "No such command 'serch'"),
        (["init", "P"], "Missing option '--corpus'"),
        (["search", "P"], "give one of QUERY, --query-id and --query-vector"),
        (["search", "P", "sea", "--query-id", "q"], "give one of QUERY, --query-id and --query-vector"),
        (["search", "P", "sea", "--cutoff", "0"], "0 is not in the range x>=1"),
        (["index", "recall", "P", "--system", "mine"], "'mine' is not one of 'CL-SR', 'CL-SR paper'"),
        (["fit", "P", "--k", "many"], "'many' is not a valid integer"),
        (["fit", "P", "--variant", "relu"], "'relu' is not one of 'batch_topk', 'topk', 'nested_topk'"),
        (["name", "P", "--prompt", "kind"], "'kind' is not one of 'contrastive', 'paper'"),
        (["embed", "P", "--passages", "nowhere.npy"], "File 'nowhere.npy' does not exist"),
        (["index", "build", __file__], "is a file"),
    ],
)
def test_a_command_that_is_typed_wrongly_exits_with_2_and_shows_its_usage(tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    done = unweave(*arguments)
    usage, *_, line = done.stderr.splitlines()
    assert (done.exit_code, done.stdout) == (2, "")
    assert usage.startswith("Usage: ")
    assert line.startswith("Error: ")
    assert said in line
    assert list(tmp_path.iterdir()) == []


# --- help, and what importing costs ---------------------------------------------------------------


@pytest.mark.parametrize("name", COMMANDS + GROUPED)
def test_every_command_has_help_and_so_has_every_option(name):
    done = unweave(*name.split(), "--help")
    assert done.exit_code == 0
    assert f" {name} " in done.stdout.splitlines()[0]
    command = main
    for part in name.split():
        command = command.commands[part]
    assert len(command.help.split()) >= 3
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, f"{name} {parameter.opts[0]} has no help"


def test_the_help_lists_every_command_under_what_it_is_used_for():
    done = unweave("--help")
    assert done.exit_code == 0
    sections = {title: part.splitlines() for title, part in re.findall(r"^(\S.*):\n((?:  .*\n)+)", done.stdout, re.M)}
    sections.pop("Options")
    listed = {title: [line.split()[0] for line in lines if line[2] != " "] for title, lines in sections.items()}
    assert listed == {title: list(places) for title, places in SECTIONS.items()}
    assert [name for names in listed.values() for name in names] == COMMANDS
    assert listed["Build a project"][:6] == ["init", "add", "embed", "fit", "name", "index"]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_the_group_is_the_first_sentence_of_the_commands_own(name):
    (said,) = (place.help for places in SECTIONS.values() for of, place in places.items() if of == name)
    assert " ".join(main.commands[name].help.split()).startswith(said)
    assert said.endswith((".", "language-model"))


def test_every_module_of_commands_is_in_the_table_of_commands():
    attributes = {f"{place.module}.{name}" for places in SECTIONS.values() for name, place in places.items()}
    found = set()
    for path in Path(unweave_cli.__file__).parent.glob("*.py"):
        module = importlib.import_module(f"unweave.cli.{path.stem}")
        for command in vars(module).values():
            if isinstance(command, click.Command) and command.callback.__module__ == module.__name__:
                found.add(f"{path.stem}.{command.name}")
    # A group's own commands are reached through it; the others are in the table.
    of_groups = {f"{group.callback.__module__.rpartition('.')[2]}.{command}" for group in main.commands.values()
                 if isinstance(group, click.Group) for command in group.commands}  # fmt: skip
    assert found - of_groups - {"app.main"} <= attributes <= found


def test_an_option_of_a_setting_shows_its_default_and_its_choices():
    shown = " ".join(unweave("fit", "--help").stdout.split())
    assert "--variant [batch_topk|topk|nested_topk|matryoshka|jumprelu|matching_pursuit] Kind of SAE" in shown
    assert "Active latents per text, on average. [default: 32]" in shown
    assert "--retrieval-loss [kl|infonce]" in shown
    shown = " ".join(unweave("embed", "--help").stdout.split())
    assert "--pooling [cls|mean|max|lasttoken]" in shown
    assert "[default: normalize]" in shown
    assert "written there once the command has succeeded" in shown


@pytest.mark.parametrize(("stage", "name"), SETTINGS)
def test_a_setting_without_a_default_says_how_it_is_chosen(stage, name):
    config = typing.get_type_hints(Settings)[stage]
    (setting,) = (field for field in fields(config) if field.name == name)
    if setting.default is None:
        assert "by default" in documentation(config)[name]
    elif isinstance(setting.default, str) and not setting.default and not choices_of(setting):
        assert "empty:" in documentation(config)[name] or name.endswith("_prefix")


@pytest.mark.parametrize(
    "script",
    [
        "import unweave",
        "from unweave.cli import main; main(['--help'], standalone_mode=False)",
        "from unweave.cli import main; main(['fit', '--help'], standalone_mode=False)",
        "from unweave.cli import main; [main([c, '--help'], standalone_mode=False) for c in main.commands]",
    ],
)
def test_importing_and_asking_for_help_load_no_heavy_library(script):
    heavy = [
        "numpy", "scipy", "numba", "torch", "sentence_transformers", "transformers", "matplotlib", "sklearn",
        "pyarrow", "tqdm",
    ]  # fmt: skip
    check = f"\nimport sys; print('loaded:', [name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script + check], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "loaded: []"
    assert script != "import unweave" or done.stdout == "loaded: []\n"  # importing says nothing


def test_the_installed_command_says_its_version():
    installed = shutil.which("unweave", path=str(Path(sys.executable).parent))
    assert installed is not None
    done = subprocess.run([installed, "--version"], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.split()[0]) == (0, "unweave,")
