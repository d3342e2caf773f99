"""The commands about SAEs: to and from other tools' formats, to and from the hub, and one beside another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from unweave.base.plain import plain
from unweave.cli.options import JSON, print_json

if TYPE_CHECKING:
    from unweave.sae.model import SAE

# As in unweave.sae.formats, which is imported where it is used: importing the command line stays cheap.
_FORMAT = click.Choice(["saelens", "sparsify", "latentsae", "sentence-transformers", "paper"])
_SAE = click.Path(exists=True, file_okay=False, path_type=Path)
_FOLDER = click.argument("folder", type=click.Path(file_okay=False, path_type=Path))


@click.group()
def sae() -> None:
    """Bring an SAE from another tool or the hub, take one there, or compare two."""


@sae.command("import")
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@_FOLDER
@click.option("--format", "kind", type=_FORMAT, help="What wrote it; found out from the files if left out.")
@click.option("--threshold", type=float, help="Of a paper's .pt file whose name does not state it.")
@click.option("--encoder", help="Model whose embeddings it reads, where the files do not state it.")
@click.option("--labels", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Names of its latents: a "
              ".parquet, .csv, .tsv or .jsonl file with the columns feature and label. By default those that export "
              "wrote into SOURCE.")  # fmt: skip
def import_(
    source: Path, folder: Path, kind: str | None, threshold: float | None, encoder: str | None, labels: Path | None
) -> None:
    """Read an SAE of another tool, SOURCE, and save it as FOLDER.

    Nothing in its files is run. Settings, and the header in front of tensors, may have 1,048,576 bytes.

    \b
    Examples:
      unweave sae import their_sae my_sae
    """
    from unweave.dictionaries.labels import read_labels
    from unweave.dictionaries.latents import read_latents, save
    from unweave.sae.formats import import_sae

    _refuse_existing(folder)
    try:
        read = import_sae(source, kind, threshold=threshold, encoder=encoder)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    n = read.config.n_latents
    save(folder, read, read_labels(labels, n) if labels else read_latents(source, n, kind))
    _show(read, folder)


@sae.command()
@click.argument("folder", type=_SAE)
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--format", "kind", type=_FORMAT, required=True, help="What is to read it.")
@click.option("--as-top-k", is_flag=True, help="Keep the k strongest instead of those above the threshold, for tools "
              "that have no thresholds: other latents than here.")  # fmt: skip
@click.option("--labels", type=click.Path(dir_okay=False, path_type=Path), help="Write the names of its latents too: a "
              ".parquet, .csv or .jsonl file with the columns feature and label.")  # fmt: skip
def export(folder: Path, out: Path, kind: str, as_top_k: bool, labels: Path | None) -> None:
    """Write the SAE in FOLDER, an SAE's or a project's, to the folder OUT, for another tool.

    The names of its latents go with it where the format has room for them, and `import` reads them again.

    \b
    Examples:
      unweave sae export demo out --format saelens
    """
    from unweave.dictionaries.labels import check_labels, write_labels
    from unweave.errors import BadData, MissingArtifact, StaleArtifact
    from unweave.sae.formats import export_sae
    from unweave.stages.saes import names_of, opened_sae

    _refuse_existing(out)
    if labels:
        check_labels(labels)
    try:
        names = dict(names_of(folder))
    except (BadData, MissingArtifact, StaleArtifact):  # none, or those of another SAE
        if labels:
            raise
        names = {}
    export_sae(opened_sae(folder)[0], out, kind, as_top_k=as_top_k, names=names)
    click.echo(plain(str(out)))
    if labels:
        write_labels(labels, names)
        click.echo(f"{plain(str(labels))}: {len(names):,} labels")


@sae.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("repo")
@click.option("--private", is_flag=True, help="Make the repository private, if it is to be made.")
def push(folder: Path, repo: str, private: bool) -> None:
    """Upload the SAE in FOLDER, with a model card, to the hub's repository REPO (OWNER/NAME).

    \b
    Examples:
      unweave sae push demo me/my-sae
    """
    from unweave.sae.hub import push_to_hub

    click.echo(plain(push_to_hub(folder, repo, private=private)))


@sae.command()
@click.argument("repo")
@_FOLDER
@click.option("--revision", help="Branch, tag or commit.")
def pull(repo: str, folder: Path, revision: str | None) -> None:
    """Download the SAE in the hub's repository REPO (OWNER/NAME, or OWNER/NAME/FOLDER) to FOLDER.

    One of another tool is read as by `import`, names of latents included. Its files may have 64 GiB together.

    \b
    Examples:
      unweave sae pull me/my-sae my_sae
    """
    from unweave.dictionaries.pull import pull_from_hub

    _refuse_existing(folder)
    _show(pull_from_hub(repo, folder, revision), folder)


@sae.command()
@click.argument("one", type=_SAE)
@click.argument("other", type=_SAE)
@click.option("--on", type=_SAE, help="Project whose embedded passages are read; by default ONE or OTHER, if it is a "
              "project.")  # fmt: skip
@click.option("--fail-under", type=click.FloatRange(0, 1), metavar="SHARE", help="End with status 1 if less returns: a "
              "share of what ONE's latents contribute or, without passages, of its latents.")  # fmt: skip
@JSON
def compare(one: Path, other: Path, on: Path | None, fail_under: float | None, as_json: bool) -> None:
    """Show how much of the SAE ONE returns in the SAE OTHER, each a folder of an SAE or a project.

    Latents are matched one to one; one returns if its partner's directions, the encoder's and the decoder's, have a
    cosine of at least .7 with its own. At most 20,000 passages are read, drawn evenly.

    \b
    Examples:
      unweave sae compare demo mine
    """
    from unweave.cli import show
    from unweave.stages.agree import compare_saes

    compared = compare_saes(one, other, on)
    if as_json:
        print_json(compared.record())
    else:
        for line in show.agreement(compared):
            click.echo(line)
    figure, value = compared.gate
    if fail_under is not None and not (value is not None and value >= fail_under):
        raise click.ClickException(
            f"the {figure}, {'undefined' if value is None else f'{value:.4f}'}, is below --fail-under {fail_under:g}"
        )


def _refuse_existing(folder: Path) -> None:
    if folder.exists():
        raise click.BadParameter(f"{folder} exists already; give a folder that does not")


def _show(made: SAE, folder: Path) -> None:
    config = made.config
    click.echo(
        f"{plain(str(folder))}: {config.n_latents:,} latents on {config.d_in:,} dimensions, "
        f"selected by {config.selection}"
    )
