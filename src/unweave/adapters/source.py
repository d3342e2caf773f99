"""What an adapter reads with, as a user gives it: a project or a dictionary, itself or by its folder or name.

Frameworks copy their parts and write them to files, so that a folder's path is often what they can hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

from unweave import settings
from unweave.config import PRETRAINED
from unweave.dictionaries.dictionary import Dictionary, from_pretrained
from unweave.project import Project

Source = Project | Dictionary | Path | str
"""A project, a dictionary, a project's or a dictionary's folder, or what `from_pretrained` takes."""


def project_of(source: Project | Path | str) -> Project:
    """A project; one that is given by its folder is opened once a process."""
    return source if isinstance(source, Project) else _project(Path(source).absolute())


def explainer_of(source: Source) -> Project | Dictionary:
    """What explains: a project where the folder is one, else a dictionary."""
    if isinstance(source, (Project, Dictionary)):
        return source
    if (Path(source) / settings.FILE).is_file():
        return _project(Path(source).absolute())
    is_folder = source != PRETRAINED and Path(source).is_dir()
    return _dictionary(str(Path(source).absolute() if is_folder else source))


def names_of(source: Source) -> Mapping[int, str]:
    """The names of its concepts by latent."""
    of = explainer_of(source)
    return of.concepts if isinstance(of, Project) else of.names


def named(source: Source) -> str:
    """What a file can hold of it.

    Raises:
        ValueError: a dictionary that is open has no name; give the one by which it was opened.
    """
    if isinstance(source, Dictionary):
        raise ValueError("an open dictionary cannot be written to a file; give the name or folder it was opened by")
    return str(source.path if isinstance(source, Project) else source)


@lru_cache(maxsize=4)
def _project(folder: Path) -> Project:
    return Project.open(folder)


@lru_cache(maxsize=4)
def _dictionary(name: str) -> Dictionary:
    return from_pretrained(name)
