"""The commands that say how good names are, and what an embedding is made of."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from unweave.base import progress
from unweave.cli.bars import Bars
from unweave.cli.options import JSON, PROJECT, config_of, open_project

if TYPE_CHECKING:
    from unweave.concepts.judges.verdicts import Verdict


@click.command()
@PROJECT
@click.option("--controls", is_flag=True, help="Judge names of other concepts and of random directions too: what is "
              "found where there is nothing to find.")  # fmt: skip
@click.option("--other-encoder", metavar="MODEL", help="Measure also how alike the passages of a concept are under "
              "this encoder, a folder or a name on the hub.")  # fmt: skip
@click.option("--by-model", type=click.IntRange(min=1), metavar="N", help="Put N questions of each kind to the "
              "language model of the project's settings too, about every namer's names.")  # fmt: skip
@click.option("--again", is_flag=True, help="Judge what is judged already too.")
@JSON
def judge(
    project: Path, controls: bool, other_encoder: str | None, by_model: int | None, again: bool, as_json: bool
) -> None:
    """Judge names by texts that no namer has seen, and show how far each namer is to be trusted.

    What is found is stored beside each name and decides its mark and which of several names is shown.

    \b
    Examples:
      unweave judge demo
    """
    from unweave.concepts.judges.verdicts import marks as marks_of
    from unweave.config import EncoderConfig
    from unweave.encode.encoders import open_encoder

    opened = open_project(project)
    other = None if other_encoder is None else open_encoder(config_of(EncoderConfig, model=other_encoder))
    with progress.watched(Bars()):
        verdicts = opened.judge(other=other, again=again, by_model=by_model or 0, controls=controls)
    marks = marks_of(opened.concepts.by_document_frequency())
    if as_json:
        click.echo(json.dumps({"verdicts": [_record(one) for one in verdicts],
                               "marks": {trust.value: n for trust, n in marks.items()}}))  # fmt: skip
        return
    from unweave.cli import show

    for line in show.table([_row(one) for one in verdicts]):
        click.echo(line)
    click.echo("names shown, by trust: " + ", ".join(f"{trust.mark} {trust.value} {n:,}" for trust, n in marks.items()))


@click.command()
@PROJECT
@click.argument("text")
@click.option("--top", type=click.IntRange(min=1), help="Phrases at most.")
@JSON
def phrases(project: Path, text: str, top: int | None, as_json: bool) -> None:
    """Write the embedding of TEXT in phrases of the project's lexicon: what sets it apart from the mean passage.

    It needs no SAE, and no concepts. The lexicon is made by: unweave name --namer lexicon PROJECT

    \b
    Examples:
      unweave phrases demo "a wind turbine makes electricity"
    """
    from unweave.base.plain import plain

    mix = open_project(project).phrases(text, top)
    if as_json:
        click.echo(json.dumps({"text": text, "mix": [{"phrase": p.phrase, "weight": p.weight} for p in mix]}))
        return
    for part in mix:
        click.echo(f"{part.weight:6.3f}  {plain(part.phrase, 80)}")


def _record(verdict: Verdict) -> dict[str, Any]:
    return {"namer": verdict.namer, "control": verdict.control, **verdict.score._asdict(), "chance": verdict.chance}


def _row(verdict: Verdict) -> dict[str, Any]:
    score = verdict.score
    return {
        "judged": ", ".join(part for part in (verdict.namer or "no name", verdict.control) if part),
        "judge": score.judge,
        "mean": f"{score.value:.3f}",
        "95 %": f"{score.low:.3f} to {score.high:.3f}",
        "n": f"{score.n:,}",
        "chance": "" if verdict.chance is None else f"{verdict.chance:g}",
    }
