"""The commands that rerun what a paper measured, on any project."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click

from unweave.cli.options import PROJECT, config_of, open_project


@click.group()
def reproduce() -> None:
    """Rerun what a paper measured, on the corpus, queries and encoder of a project."""


@reproduce.command("cl-sr")
@PROJECT
@click.option("--k", "ks", multiple=True, type=click.IntRange(min=1), default=(32, 48, 64, 128), show_default=True,
              help="Active latents per text; may be given several times, one SAE each.")  # fmt: skip
@click.option("--expansion", default=32, show_default=True, type=click.IntRange(min=1),
              help="Latents a dimension of the embedding.")  # fmt: skip
@click.option("--steps", type=click.IntRange(min=1), help="Batches to train each SAE on; by default as for fit.")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Of each training.")
@click.option("--device", default="cpu", show_default=True, help="Where to train: cpu, cuda, cuda:1.")
@click.option("--split", default="test", show_default=True, help="Which judgements to evaluate against.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def cl_sr(
    project: Path, ks: tuple[int, ...], expansion: int, steps: int | None, seed: int, device: str, split: str,
    as_json: bool,
) -> None:  # fmt: skip
    """Run the protocol of "Decoding Dense Embeddings" (arXiv 2506.00041) on the embedded PROJECT.

    SAEs of several k, dense search over their reconstructions, and CL-SR with the paper's constants and at most 24
    and 65 concepts a passage: on all queries, and on those that BM25 cannot answer. A stopped run goes on where it
    was. On the paper's own data, MS MARCO as BEIR has it, with SimLM; this takes a GPU and some 60 GB of memory:

    \b
      unweave init mine --corpus BEIR/msmarco
      unweave embed mine --model intfloat/simlm-base-msmarco-finetuned --pooling cls --sentences 0 --device cuda
      unweave reproduce cl-sr mine --device cuda --split dev

    \b
    Examples:
      unweave reproduce cl-sr demo
    """
    from unweave.cli import show
    from unweave.config import ReproduceConfig

    config = config_of(ReproduceConfig, ks=ks, expansion=expansion, steps=steps, seed=seed, device=device, split=split)
    found = open_project(project).reproduce(config)
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    for line in show.reproduction(found):
        click.echo(line)
