"""The command line: each command parses, makes one call and shows what came back."""

from unweave.cli.app import main
from unweave.cli.build import embed, fit, index, init, name, tokens
from unweave.cli.concepts import concepts
from unweave.cli.demo import demo
from unweave.cli.evaluation import compare, leaderboard
from unweave.cli.families import carrying, families, paths, prevalent
from unweave.cli.judge import decompose, judge
from unweave.cli.measure import evaluate, report
from unweave.cli.reproduce import reproduce
from unweave.cli.sae import sae
from unweave.cli.search import explain, search
from unweave.cli.serve_model import serve_model
from unweave.cli.suite import suite

__all__ = ["main"]

for command in (
    init, embed, fit, name, index, judge, tokens, search, explain, evaluate, report, leaderboard, compare, families,
    paths, prevalent, carrying, decompose, concepts, suite, reproduce, serve_model, sae, demo,
):  # fmt: skip
    main.add_command(command)
