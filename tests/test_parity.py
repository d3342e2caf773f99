"""The command line and the library are one door: a command is a method of `Project`, which takes what it takes."""

import importlib
import inspect

import click
import pytest

from unweave.cli import main
from unweave.cli.app import SECTIONS
from unweave.config import ReproduceConfig, ShardsConfig
from unweave.engines.catalogue import ENGINES
from unweave.project import Project
from unweave.settings import Settings
from unweave.stages.workspace import Workspace

NOT_OF_ONE_PROJECT = {
    "demo": "runs other commands, one after the other",
    "suite": "runs other commands on many collections",
    "plan": "knows no project: unweave.cluster.plan.planned",
    "leaderboard": "reads many projects: stages.compare.leaderboard",
    "contrast": "reads two projects: unweave.contrast",
    "models": "reads two projects: unweave.compare_models",
    "serve-model": "serves a language model, and knows no project",
    "serve": "serves a project over HTTP: each route is a method, and unweave.server.serve.serve takes what it takes",
    "mcp": "serves a project to agents: each tool is a method or two, and unweave.adapters.mcp makes the server",
    "sae import": "is about an SAE's folder: unweave.import_sae",
    "sae export": "is about an SAE's folder: unweave.export_sae",
    "sae push": "is about an SAE's folder: unweave.push_to_hub",
    "sae compare": "is about two SAEs, with or without projects: unweave.agreement, stages.agree.compare_saes",
    "sae pull": "is about an SAE's folder: unweave.from_pretrained",
}
OF_CONCEPTS = {
    "concepts list": "Project.concepts",
    "concepts show": "Project.concepts",
    "concepts export": "concepts.exchange.export, of Project.concepts",
    "concepts import": "concepts.exchange.import_edits",
    "concepts adopt": "stages.across.adopt_names",
    **{f"concepts {name}": f"concepts.edits.{name}"
       for name in ("history", "rename", "lock", "unlock", "flag", "merge", "undo")},
}  # fmt: skip
METHODS = {"init": "create", "index build": "index", "index compact": "compact",
           "index recall": "recall", "export atlas": "export_atlas", "reproduce cl-sr": "reproduce",
           **{f"export {engine}": "export_engine" for engine in ENGINES}}  # fmt: skip
"""Commands that are called otherwise than their method: what `Project` does is a verb."""

OF_THE_EXPLORER = {
    "words_of",
    "words_in",
    "activated",
    "active_in",
    "activated_by",
    "mark",
    "overview",
    "search_steered",
    "standing",
    "verdicts",
}
"""Verbs that `concepts list` and `concepts show` have as options, and the explorer as pages."""
ONLY_SHOWN = {"as_json", "top", "out", "lucene", "svg"}
"""Parameters that decide what is printed, or where."""
STAGES = {stage: set(type(getattr(Settings(), stage)).__dataclass_fields__) for stage in vars(Settings())}
"""The fields of each stage's settings: `Project.open(path, {stage: changes})` takes them."""
SETTINGS = {
    "embed": ("encoder", "embed"), "fit": ("fit",), "tokens": ("tokens",), "evaluate": ("evaluate",),
    "name": ("evidence", "keyphrases", "lexicon", "language_model"), "pretrain": ("encoder", "fit"),
}  # fmt: skip
OTHERWISE = {
    "init": {"project": "path", "corpus": "collection", "queries": "collection", "qrels": "collection",
             **dict.fromkeys((*ShardsConfig.__dataclass_fields__, "on"), "sharded")},
    "add": {**dict.fromkeys(("corpus", "queries", "qrels"), "collection"), "on": "sharded"},
    "embed": dict.fromkeys(("passages", "passage_ids", "queries", "query_ids"), "bring_embeddings"),
    "name": {"namer": "by", "dry_run": "forecast"},
    "pretrain": {**dict.fromkeys(("texts", "most"), "create"), "dry_run": "pretraining_cost"},
    "judge": {"other_encoder": "other"},
    "search": {
        **dict.fromkeys(("boosts", "banned", "query_k", "passage_k", "effort"), "steering"),
        "where": "where", "query_id": "query", "query_vector": "query", "by_words": "all_by_words",
    },
    "prevalent": {"query": "hits", "cutoff": "hits"},
    "carrying": {"concept": "latent"},
    "compare": {"systems": "first", "runs": "second"},
    "phrases": {"top": "k"},
    "explain": {
        "words": "query", "dictionary": "decompose", "account": "by_words", "boosts": "steering",
        "engine_query": "explain_hits",
        "query_vector": "explain_hits", "hits": "explain_hits", "measure": "explain_hits",
    },
    "difference": {"words": "query", "dictionary": "decompose", "by_words": "by_words", "boosts": "steering"},
    "counterfactual": {"latent": "cut"},
    "decompose": {"words": "text", "dictionary": "decompose"},
    **{f"export {engine}": {"dry_run": "export_plan"} for engine in ENGINES},
    "reproduce cl-sr": dict.fromkeys(ReproduceConfig.__dataclass_fields__, "config"),
}  # fmt: skip
"""Parameters that the method calls otherwise, or that another method takes: `create`'s collection is opened from what
`init` was given."""


def leaves() -> dict[str, click.Command]:
    """Every command that does something, by the words that call it."""
    found = {}
    for name, command in main.commands.items():
        group = command.commands if isinstance(command, click.Group) else {}
        found.update({f"{name} {sub}": one for sub, one in group.items()} or {name: command})
    return found


COMMANDS = leaves()
OF_A_PROJECT = [name for name in COMMANDS if name not in NOT_OF_ONE_PROJECT and name not in OF_CONCEPTS]


@pytest.mark.parametrize("name", OF_A_PROJECT)
def test_a_command_is_a_method_and_what_it_takes_the_method_takes(name):
    method = getattr(Project, METHODS.get(name, name.replace("-", "_")))
    taken = set(inspect.signature(method).parameters) - {"self"}
    otherwise, settings = OTHERWISE.get(name, {}), set().union(*(STAGES[stage] for stage in SETTINGS.get(name, ())))
    for parameter in (parameter.name for parameter in COMMANDS[name].params):
        if parameter in otherwise:
            assert otherwise[parameter] in taken or callable(getattr(Project, otherwise[parameter], None)), parameter
            continue
        opens_the_project = parameter == "project" and name != "init"
        assert parameter in taken | settings | ONLY_SHOWN or opens_the_project, f"{name}: {parameter}"


def test_every_verb_of_a_project_is_a_command():
    verbs = {
        name for name, member in inspect.getmembers(Project, inspect.isfunction)
        if not name.startswith("_") and not hasattr(Workspace, name)
    }  # fmt: skip
    reached = {METHODS.get(name, name.replace("-", "_")) for name in OF_A_PROJECT}
    reached |= {method for of in OTHERWISE.values() for method in of.values()} | OF_THE_EXPLORER | {"two_sided"}
    assert verbs <= reached


def test_the_lists_here_name_only_what_is_there():
    commands = NOT_OF_ONE_PROJECT.keys() | OF_CONCEPTS.keys() | METHODS.keys() | SETTINGS.keys() | OTHERWISE.keys()
    assert commands <= COMMANDS.keys()
    assert {name.partition(" ")[0] for name in COMMANDS} == {name for of in SECTIONS.values() for name in of}
    for place in OF_CONCEPTS.values():
        module, _, function = place.partition(", ")[0].rpartition(".")
        assert place == "Project.concepts" or hasattr(importlib.import_module(f"unweave.{module}"), function), place
    for name, parameters in OTHERWISE.items():
        assert parameters.keys() <= {parameter.name for parameter in COMMANDS[name].params}, name
