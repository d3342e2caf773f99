"""The library's reference: what `unweave` exports, from its docstrings."""

from __future__ import annotations

import inspect
from pathlib import Path

import unweave

_HEAD = """# {title}

{lead}

"""
_DIRECTIVE = """```{{eval-rst}}
.. auto{kind}:: unweave.{name}
   {options}
```

"""
_OF_CLASSES = ":members:\n   :undoc-members:\n   :inherited-members: object, tuple, list, Mapping, Exception"
"""Members of what Python itself brings along are not ours to describe."""


def write(folder: Path) -> None:
    """Write a page of classes, one of functions, and one of the class that is the door to a project."""
    names = [name for name in unweave.__all__ if name != "Project"]
    classes = [name for name in names if inspect.isclass(getattr(unweave, name))]
    pages = {
        "project": ("Project", "Every verb of the product, for a project's folder.", ["Project"]),
        "functions": (
            "Functions of unweave",
            "What `unweave` exports beside its classes; each works without a project, or on several.",
            [name for name in names if name not in classes],
        ),
        "classes": ("Classes of unweave", "What functions and the methods of `Project` take and return.", classes),
    }
    for page, (title, lead, listed) in pages.items():
        parts = (
            _DIRECTIVE.format(
                name=name, kind="class" if name in (*classes, "Project") else "function", options=_options(name)
            )
            for name in listed
        )
        (folder / f"{page}.md").write_text(_HEAD.format(title=title, lead=lead) + "".join(parts), encoding="utf-8")


def _options(name: str) -> str:
    return _OF_CLASSES if inspect.isclass(getattr(unweave, name)) else ""
