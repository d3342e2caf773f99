"""Making a project's folder from a collection."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from unweave import settings
from unweave.base.artifact import MANIFEST
from unweave.base.files import refuse_links, sync
from unweave.base.locks import held
from unweave.errors import BadData
from unweave.stages.places import FOLDERS
from unweave.texts.collection import Collection
from unweave.texts.corpus import Corpus
from unweave.texts.queries import QuerySet, known_judgements


def create(
    path: Path, collection: Collection, *, drop_unknown: bool, changes: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Make a project; if that fails, nothing of it is left. The same arguments and errors as `Project.create`.

    Args:
        changes: settings that are not the default, by stage.
    """
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync(folder.parent)
    try:
        with held(path / settings.LOCK):
            _refuse_what_is_there(path)
            _fill(path, collection, changes or {}, drop_unknown=drop_unknown)
    except BaseException:
        with suppress(OSError):
            for folder in missing:
                folder.rmdir()  # only one that holds nothing goes
        raise


def _refuse_what_is_there(path: Path) -> None:
    if (path / settings.FILE).exists():
        raise BadData(f"{path} is a project already; open it, or give a new folder")
    refuse_links(*(path / name for name in FOLDERS))
    for name in ("corpus", "queries"):
        if (path / name).exists() and not (path / name / MANIFEST).is_file():
            raise BadData(f"{path / name} is in the way and is not unweave's; give a new or empty project folder")


def _fill(path: Path, collection: Collection, changes: Mapping[str, Mapping[str, Any]], *, drop_unknown: bool) -> None:
    made: list[str] = []
    try:
        corpus = Corpus.write(path / "corpus", collection.passages, settings={"about": dict(collection.about)})
        made.append("corpus")
        qrels = {
            split: known_judgements(judged, split, corpus.has, drop_unknown=drop_unknown)
            for split, judged in collection.qrels.items()
        }
        QuerySet.write(path / "queries", collection.queries, qrels, settings={})
        made.append("queries")
        settings.write_new(path / settings.FILE, changes)  # last: its presence says that the project is whole
    except BaseException:
        for name in made:
            shutil.rmtree(path / name, ignore_errors=True)
        raise
