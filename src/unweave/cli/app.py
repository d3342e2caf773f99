"""The command `unweave`: its commands by use, each imported when it is asked for, and errors as one line."""

from __future__ import annotations

import importlib
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import click

from unweave import __version__
from unweave.base.failures import sentence_of
from unweave.base.plain import plain
from unweave.errors import CorruptArtifact


class _Place(NamedTuple):
    module: str
    """Below `unweave.cli`; the command is an attribute of the same name, `_` for `-`."""
    help: str
    """The first sentence of the command's help, which is shown without importing the command."""


SECTIONS = {
    "Build a project": {
        "init": _Place("build", "Make a PROJECT folder from a corpus, with its queries and judgements if it has any."),
        "add": _Place("build", "Add passages, queries and judgements to those of PROJECT."),
        "embed": _Place("build", "Embed the corpus, its sentences and its queries, or bring embeddings made "
                        "elsewhere."),
        "fit": _Place("build", "Train the sparse autoencoder, and encode the passages with it."),
        "name": _Place("build", "Gather the evidence for every live concept, name it, and work out how concepts "
                       "relate."),
        "index": _Place("build", "Build the concept index, and look after it."),
        "tokens": _Place("build", "Learn concepts of single tokens, name them by their words, and index them beside "
                         "those of whole texts."),
        "pretrain": _Place("build", "Make a dictionary that reads any text, from many texts: embed, train, name, and "
                           "pack."),
        "trust": _Place("trust", "Allow what PROJECT's settings reach outside of its folder: addresses, variables, "
                        "paths, models, money."),
    },
    "Search and explain": {
        "search": _Place("search", "Search PROJECT for QUERY."),
        "search-all": _Place("search", "Search for all of the project's queries, and write a run in TREC's format."),
        "explain": _Place("explain", "Explain the score of QUERY and PASSAGE as a sum of named parts."),
        "difference": _Place("explain", "Show why FIRST scores above SECOND for QUERY, or below: the concepts that "
                             "make the difference."),
        "counterfactual": _Place("explain", "Show what scores and ranks would be with a concept of PASSAGE_ID weaker, "
                                 "stronger, gone or added."),
        "decompose": _Place("explain", "Show what the embedding of TEXT is made of: the share of each concept, and "
                            "what no concept accounts for."),
        "prevalent": _Place("families", "Search PROJECT for QUERY and show what the found passages are about, each "
                            "concept with passages as proof."),
        "contrast": _Place("families", "Show what sets the corpora of two projects, ONE and OTHER, apart: concepts "
                           "much more frequent in one of them."),
        "models": _Place("models", "Show what sets two models of the same passages apart: concepts that only one has, "
                         "and winners that change."),
        "paths": _Place("families", "Show the concepts of the passage PASSAGE_ID as paths from coarse to fine, the "
                        "strongest first."),
        "carrying": _Place("families", "Show which sentence of the passage PASSAGE_ID carries CONCEPT, a concept's "
                           "number."),
        "phrases": _Place("judge", "Write the embedding of TEXT in phrases of the project's lexicon: what sets it "
                          "apart from the mean passage."),
        "serve": _Place("serve", "Open PROJECT in the browser: search it, see why, steer it, and name its concepts."),
        "mcp": _Place("mcp", "Serve PROJECT to agents by the Model Context Protocol: search, explain, compare, "
                      "concepts, audit."),
        "report": _Place("measure", "Write PROJECT/report.html: one file that opens from disk."),
        "export": _Place("export", "Write a project's passages and concepts as another tool reads them."),
    },
    "Concepts and their names": {
        "concepts": _Place("concepts", "Look at concepts, and name, remark on or merge them by hand; each change can "
                           "be undone."),
        "families": _Place("families", "Show the families of concepts that are active together, the largest first."),
        "map": _Place("map", "Lay out the concepts of PROJECT on a map, those of close directions close to each "
                      "other."),
        "judge": _Place("judge", "Judge names by texts that no namer has seen, and show how far each namer is to be "
                        "trusted."),
    },
    "Measure": {
        "evaluate": _Place("measure", "Compare BM25, dense search and CL-SR on the project's judged queries."),
        "compare": _Place("evaluation", "Show on which queries of PROJECT the first of two SYSTEMS beats the second, "
                          "and on which it loses."),
        "leaderboard": _Place("evaluation", "Compare all systems over several evaluated PROJECTS, each a collection."),
        "suite": _Place("suite", "Evaluate all systems on every collection of SUITE, a project each in FOLDER, and "
                        "compare them."),
        "audit": _Place("audit", "Test a retriever of PROJECT for what it gets wrong, check each claim, and write "
                        "audit.html and audit.json."),
        "faithfulness": _Place("evaluation", "Show whether explanations of PROJECT's hits name causes."),
        "stability": _Place("evaluation", "Show how much of the explanations of PROJECT's hits stays when a text is "
                            "said otherwise."),
        "reproduce": _Place("reproduce", "Rerun what a paper measured, on the corpus, queries and encoder of a "
                            "project."),
    },
    "SAEs and language models": {
        "sae": _Place("sae", "Bring an SAE from another tool or the hub, take one there, or compare two."),
        "serve-model": _Place("serve_model", "Serve a language model on this machine, for: unweave name --namer "
                              "language-model"),
    },
    "Plan for many machines": {
        "plan": _Place("plan", "Say what a corpus of any size takes: machines, hours, bytes and money of each stage, "
                       "and what breaks first."),
    },
    "Look after a project": {
        "verify": _Place("health", "Read every byte of PROJECT, and say which artefact is not what was written."),
        "doctor": _Place("health", "Say what to do about PROJECT, or without one about this installation: what is "
                         "damaged, missing or out of date."),
    },
    "See it work": {
        "demo": _Place("demo", "Run the main job from corpus to report in the folder PROJECT, on Wikipedia's vital "
                       "articles."),
    },
}  # fmt: skip
"""Every command, by what it is used for and in order of use."""
_PLACES = {name: place for section in SECTIONS.values() for name, place in section.items()}


class _Commands(Mapping[str, click.Command]):
    """The commands by name; one is imported when it is taken, so the help of all of them imports none."""

    def __getitem__(self, name: str) -> click.Command:
        module = importlib.import_module(f"unweave.cli.{_PLACES[name].module}")
        command: click.Command = getattr(module, name.replace("-", "_"))
        return command

    def __contains__(self, name: object) -> bool:
        return name in _PLACES

    def __iter__(self) -> Iterator[str]:
        return iter(_PLACES)

    def __len__(self) -> int:
        return len(_PLACES)


class _Group(click.Group):
    """Turns errors that a user can act on into one line on stderr and exit 1."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)  # in order of use, not of the alphabet

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(map(len, _PLACES))
        for title, places in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(width), place.help) for name, place in places.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CorruptArtifact as error:
            way_out = "" if "run: unweave" in str(error) else "; for what to do, run: unweave doctor PROJECT"
            raise click.ClickException(_one_line(f"{error}{way_out}")) from error
        except click.ClickException as error:  # which may quote the name of a file
            error.message = _one_line(error.message)  # type: ignore[misc]
            raise
        except BrokenPipeError:
            raise
        except Exception as error:
            said = sentence_of(error)
            if said is None:
                raise
            raise click.ClickException(said) from error
        except KeyboardInterrupt:
            click.echo("stopped; what was finished is kept, and the same command goes on from there", err=True)
            ctx.exit(130)


@click.group(
    cls=_Group, commands=_Commands(), context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="unweave")
def main() -> None:
    """Make dense retrieval readable.

    A project folder goes through init, embed, fit, name and index; then search, explain, evaluate and report use it.
    """
    notes = logging.StreamHandler(sys.stderr)
    notes.setFormatter(_Note())
    logging.getLogger("unweave").handlers = [notes]
    # Other libraries' logs are not ours to show. Python would print their warnings, ir_datasets each try to connect.
    if not logging.getLogger().handlers:
        logging.getLogger().addHandler(logging.NullHandler())
    logging.getLogger("ir_datasets").disabled = True


class _Note(logging.Formatter):
    """A log record as one line that is safe to print."""

    def format(self, record: logging.LogRecord) -> str:
        return f"note: {_one_line(record.getMessage())}"


def _one_line(said: str) -> str:
    return plain(said)
