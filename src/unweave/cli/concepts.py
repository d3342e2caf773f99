"""The commands about concepts: to look at them, to name, remark on and merge them by hand, and to take that back."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import click

from unweave.base.plain import plain
from unweave.base.records import RETURNS, Trust
from unweave.cli import concept_card as card
from unweave.cli.complete import CONCEPT
from unweave.cli.options import JSON, PROJECT, open_project, print_json

if TYPE_CHECKING:
    from unweave.concepts.edit import Edit
    from unweave.concepts.listing import Listed

_BY = {
    "df": "the passages they are in", "latent": "their numbers", "name": "their names",
    "trust": "the trust in their names",
    "strongest": "their strongest activation", "holds": "the activation from which their names hold",
    "detection": "the detection of their names", "returns": "whether they return",
    "activation": "how strongly the text activates them",
}  # fmt: skip
"""What concepts are sorted by: the columns of `concepts.listing`, in words."""
_LATENT = click.argument("latent", type=CONCEPT)


@click.group()
def concepts() -> None:
    """Look at concepts, and name, remark on or merge them by hand; each change can be undone."""


# --- looking --------------------------------------------------------------------------------------


@concepts.command("list")
@PROJECT
@click.option("--top", default=20, show_default=True, type=click.IntRange(min=1), help="Concepts to show.")
@click.option("--trust", type=click.Choice([trust.value for trust in Trust]), multiple=True,
              help="Only concepts whose name is trusted so far. May be given several times.")  # fmt: skip
@click.option("--returns/--no-returns", default=None, help="Only concepts that return, or only those that do not.")
@click.option("--flag", "remark", help="Only concepts with this remark.")
@click.option("--flagged/--not-flagged", default=None, help="Only concepts with any remark, or only those without.")
@click.option("--grep", "words", default="", help="Only concepts with these words in a name that is not known to fail, "
              "in upper or lower case; or the one of a number.")  # fmt: skip
@click.option("--text", help="Only concepts that this text activates, the strongest first.")
@click.option("--sort", type=click.Choice(list(_BY)), help="What to sort by; df is the passages that a concept is in.  "
              "[default: df, or activation with --text]")  # fmt: skip
@click.option("--ascending", is_flag=True, help="Show the lowest first.")
@JSON
def list_(
    project: Path, top: int, trust: tuple[str, ...], returns: bool | None, remark: str | None, flagged: bool | None,
    words: str, text: str | None, sort: str | None, ascending: bool, as_json: bool,
) -> None:  # fmt: skip
    """List concepts, the most frequent first.

    \b
    Examples:
      unweave concepts list demo
      unweave concepts list demo --text wind
    """
    from unweave.cli.show import RETURNS_MEANS
    from unweave.concepts.listing import Filter, activated, in_order, listed

    if sort == "activation" and text is None:
        raise click.UsageError("--sort activation goes with --text: it is how strongly that text activates a concept")
    by = sort or ("df" if text is None else "activation")
    opened = open_project(project)
    names = opened.concepts
    concepts = {concept.latent: concept for concept in names.by_document_frequency()}
    rows = listed(concepts.values())
    if text is not None:
        rows = activated(rows, opened.activated(text))
    rows = Filter(words, frozenset(map(Trust, trust)), returns, remark, flagged).rows(rows)
    shown = in_order(rows, by, descending=not ascending)[:top]
    if as_json:
        records = [{**card.of(names, concepts[row.latent]), **_activation(row)} for row in shown]
        print_json({"n_concepts": len(rows), "concepts": records})
        return
    for row in shown:
        value = f"{row.document_frequency:>9,}" if row.activation is None else f"{row.activation:9.3f}"
        click.echo(f"{value}  {card.shown(names, row.latent)}{card.remarks(concepts[row.latent])}")
    click.echo(f"{len(shown):,} of {len(rows):,} concepts, by {_BY[by]}", err=True)
    if names.returning():
        click.echo(RETURNS_MEANS, err=True)


def _activation(row: Listed) -> dict[str, float]:
    return {} if row.activation is None else {"activation": row.activation}


@concepts.command()
@PROJECT
@_LATENT
@click.option("--words", is_flag=True, help="Mark the words of its examples that activate it most. The encoder is to "
              "average its tokens, as the default one does.")  # fmt: skip
@JSON
def show(project: Path, latent: int, words: bool, as_json: bool) -> None:
    """Show all that is known of the concept of LATENT: its names and scores, examples, and related concepts.

    \b
    Examples:
      unweave concepts show demo 1826
    """
    from unweave.concepts.edits import no_concept

    opened = open_project(project)
    names = opened.concepts
    concept = names.concept(latent) if latent < 2**63 else None
    if concept is None:
        raise no_concept(names.database, latent)
    texts = card.texts(concept, card.content(opened.corpus, opened.sentences), opened.words_of(latent) if words else [])
    if as_json:
        print_json(card.everything(names, concept, texts))
        return
    click.echo(f"{card.shown(names, latent)}{card.remarks(concept)}")
    click.echo(f"in {concept.document_frequency:,} passages; strongest activation {concept.strongest:.3f}")
    if concept.returns is not None:
        click.echo(f"{RETURNS + ' ' if concept.returns else 'not '}found again by another run, from another seed")
    lines = card.naming_lines(concept), card.example_lines(concept, texts), card.related_lines(names, concept)
    for line in chain(*lines):
        click.echo(line)


@concepts.command()
@PROJECT
@click.option("--latent", type=CONCEPT, help="Only the edits of this one.")
@JSON
def history(project: Path, latent: int | None, as_json: bool) -> None:
    """Show what people changed, the first change first, with the numbers that undo takes.

    \b
    Examples:
      unweave concepts history demo
    """
    from unweave.concepts import edits

    made = edits.history(open_project(project).concepts.database, latent)
    if as_json:
        print_json({"edits": [edit._asdict() for edit in made]})
        return
    for edit in made:
        click.echo(_edit_line(edit))
    if not made:
        click.echo("nobody has changed anything yet", err=True)


# --- editing --------------------------------------------------------------------------------------


@concepts.command()
@PROJECT
@_LATENT
@click.argument("name")
@click.option("--description", default="", help="A sentence more; left out, there is none.")
@JSON
def rename(project: Path, latent: int, name: str, description: str, as_json: bool) -> None:
    """Give LATENT the name NAME, which no namer replaces.

    \b
    Examples:
      unweave concepts rename demo 1826 "wind"
    """
    from unweave.concepts import edits

    _show_edit(edits.rename(_database(project), latent, name, description), as_json)


@concepts.command()
@PROJECT
@_LATENT
@JSON
def lock(project: Path, latent: int, as_json: bool) -> None:
    """Confirm the name that LATENT has, so that no namer replaces it.

    \b
    Examples:
      unweave concepts lock demo 1826
    """
    from unweave.concepts import edits

    _show_edit(edits.lock(_database(project), latent), as_json)


@concepts.command()
@PROJECT
@_LATENT
@JSON
def unlock(project: Path, latent: int, as_json: bool) -> None:
    """Take the name that a person gave or confirmed from LATENT, so that a namer's is shown again.

    \b
    Examples:
      unweave concepts unlock demo 1826
    """
    from unweave.concepts import edits

    _show_edit(edits.unlock(_database(project), latent), as_json)


@concepts.command()
@PROJECT
@_LATENT
@click.argument("remark", required=False)
@click.option("--clear", is_flag=True, help="Take the remark away.")
@JSON
def flag(project: Path, latent: int, remark: str | None, clear: bool, as_json: bool) -> None:
    """Leave the remark REMARK on the concept of LATENT, in place of the one that is there.

    \b
    Examples:
      unweave concepts flag demo 1826 "two meanings"
    """
    from unweave.concepts import edits

    if (remark is None) != clear:
        raise click.UsageError("give a remark, or --clear to take away the one that is there")
    _show_edit(edits.flag(_database(project), latent, remark), as_json)


@concepts.command()
@PROJECT
@_LATENT
@click.argument("into", type=CONCEPT)
@JSON
def merge(project: Path, latent: int, into: int, as_json: bool) -> None:
    """Say that LATENT means the same as the latent INTO, whose name it has from now on.

    \b
    Examples:
      unweave concepts merge demo 765 586
    """
    from unweave.concepts import edits

    _show_edit(edits.merge(_database(project), latent, into), as_json)


@concepts.command()
@PROJECT
@click.option("--number", type=click.IntRange(min=1), help="Of the edit, as history shows it; else the last one.")
@JSON
def undo(project: Path, number: int | None, as_json: bool) -> None:
    """Take back an edit, the last one that stands if none is named.

    \b
    Examples:
      unweave concepts undo demo
    """
    from unweave.concepts import edits

    _show_edit(edits.undo(_database(project), number), as_json)


# --- files ----------------------------------------------------------------------------------------


@concepts.command()
@PROJECT
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@JSON
def export(project: Path, file: Path, as_json: bool) -> None:
    """Write all concepts to FILE, .csv or .jsonl, to review them in a spreadsheet.

    \b
    Examples:
      unweave concepts export demo names.csv
    """
    from unweave.concepts import exchange
    from unweave.concepts.store import Concepts
    from unweave.errors import EarlierVersion
    from unweave.texts.corpus import Corpus

    try:
        opened = open_project(project)
        names, passages, sentences = opened.concepts, opened.corpus, opened.sentences
    except EarlierVersion:  # which says to save the names first: its folders can still be read
        names, passages = Concepts.load(project / "concepts"), Corpus.load(project / "corpus")
        sentences = Corpus.load(project / "sentences") if (project / "sentences").is_dir() else None
    n = exchange.export(names, file, card.content(passages, sentences))
    if as_json:
        print_json({"file": str(file), "n_concepts": n})
    else:
        click.echo(f"{plain(str(file))}: {n:,} concepts")


@concepts.command("import")
@PROJECT
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Show what would be changed, and change nothing.")
@click.option(
    "--curated",
    is_flag=True,
    help="Have its names judged beside those of other namers, and shown unless another has a better mark.",
)
@JSON
def import_(project: Path, file: Path, dry_run: bool, curated: bool, as_json: bool) -> None:
    """Make what was changed in FILE, .csv or .jsonl, edits: all of them, or none if one cannot be made.

    Its column latent, and those of name, description, flag and merged_into that it has, are read. An empty name
    leaves the name as it is; an empty flag or description takes that away.

    \b
    Examples:
      unweave concepts import demo names.csv
    """
    from unweave.concepts import exchange

    if curated:
        if dry_run:
            raise click.UsageError("--dry-run shows edits, and with --curated there are none")
        _import_curated(project, file, as_json)
        return
    made = exchange.import_edits(_database(project), file, dry_run=dry_run)
    if as_json:
        print_json({"dry_run": dry_run, "edits": [edit._asdict() for edit in made]})
        return
    for edit in made:
        click.echo(_edit_line(edit))
    click.echo(f"{len(made):,} edit(s) {'would be made' if dry_run else 'made'}", err=True)


@concepts.command()
@PROJECT
@click.argument("other", type=click.Path(file_okay=False, path_type=Path))
@JSON
def adopt(project: Path, other: Path, as_json: bool) -> None:
    """Take over the names that people, readers and language models gave in the project OTHER.

    Both projects have to read with the same dictionary. People's names become edits here, the others are judged by the
    next `unweave name`; what was named in the same way here already stays.

    \b
    Examples:
      unweave concepts adopt mine demo
    """
    from unweave.stages.across import adopt_names

    here = open_project(project)
    _ = here.concepts  # what is missing here is said before what is missing there
    found = adopt_names(here, open_project(other))
    if as_json:
        print_json(found._asdict())
        return
    click.echo(f"taken over: {found.edits:,} names of people, as edits; {found.names:,} of readers and language models")
    click.echo(f"to have those judged here: unweave name {plain(str(project))}", err=True)


def _import_curated(project: Path, file: Path, as_json: bool) -> None:
    from unweave.concepts import exchange

    names = exchange.import_curated(_database(project), file)
    if as_json:
        print_json({"names": [{"latent": latent, "name": naming.name} for latent, naming in names]})
    click.echo(f"{len(names):,} names are stored; to have them judged: unweave name {plain(str(project))}", err=True)


# --- what is shown --------------------------------------------------------------------------------


def _database(project: Path) -> Path:
    return open_project(project).concepts.database


def _show_edit(edit: Edit | None, as_json: bool) -> None:
    if as_json:
        print_json({"edit": edit and edit._asdict()})
    elif edit is None:
        click.echo("that is so already; nothing was changed", err=True)
    else:
        click.echo(_edit_line(edit))


def _edit_line(edit: Edit) -> str:
    from unweave.concepts.edit import in_words

    before, after = (in_words(edit, state) or "(none)" for state in (edit.before, edit.after))
    undone = "  (undone)" if edit.undone else ""
    made, action = plain(edit.made, 30), plain(edit.action, 20)
    return f"{edit.number:>5}  {made}  {action:<6}  #{edit.latent}  {before} → {after}{undone}"
