"""The command that audits a retriever."""

from __future__ import annotations

from pathlib import Path

import click

from unweave.base import progress
from unweave.base.plain import plain
from unweave.cli.bars import Bars
from unweave.cli.complete import SYSTEM
from unweave.cli.options import JSON, PROJECT, open_project, print_json


@click.command()
@PROJECT
@click.option("--system", type=SYSTEM, default="dense", show_default=True, help="The system to audit, or a sum.")
@click.option(
    "--run",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The ranking of another engine, in TREC's six columns, gzipped or not, in place of a system's.",
)
@click.option(
    "--group", "groups", multiple=True, metavar="KEY", help="Metadata whose values' exposure is tested; repeatable."
)
@click.option(
    "--label", "labels", multiple=True, metavar="KEY",
    help="Metadata whose values are labels, to be set beside concepts; repeatable.",
)  # fmt: skip
@click.option("--measure", default="nDCG@10", show_default=True, help="A measure, as ir_measures names it.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of every draw.")
@JSON
def audit(
    project: Path, system: str, run: Path | None, groups: tuple[str, ...], labels: tuple[str, ...], measure: str,
    seed: int, as_json: bool,
) -> None:  # fmt: skip
    """Test a retriever of PROJECT for what it gets wrong, check each claim, and write audit.html and audit.json.

    Tested are concepts that speak for failures, bias by length, position, repetition and literal match, the exposure
    of groups, hubs, boilerplate, markup, personal data and leaked questions. Printed is what holds.

    \b
    Examples:
      unweave audit demo --system dense
    """
    from unweave.audits.page import counterfactual_of, counts_of, effect_of
    from unweave.stages.audit import PAGE

    opened = open_project(project)
    with progress.watched(Bars()):
        made = opened.audit(system=system, run=run, groups=groups, labels=labels, measure=measure, seed=seed)
    if as_json:
        print_json(made.to_dict())
        return
    for claim in made.claims:
        click.echo(plain(claim.sentence))
        click.echo(f"  {plain(effect_of(claim))}")
        click.echo(f"  {plain(counterfactual_of(claim.counterfactual))}\n")
    if not made.claims:
        click.echo("no claim holds\n")
    for row in made.labels:
        click.echo(
            f"{plain(row.key, 40)} = {plain(row.value, 60)}: {plain(row.name or '(unnamed)', 60)} #{row.latent}, "
            f"AUROC {row.single:.2f}, probe {row.probe:.2f}; without it {row.loses:.0%} lose the label"
        )
    for line in (*counts_of(made), *made.notes):
        click.echo(plain(line), err=True)
    click.echo(f"the whole audit of {made.date}: {plain(str(project / PAGE))}")
