"""A folder that an engine keeps its own files in: marked, so that nobody else's is ever taken away.

unweave-export.json    the state of the export that lies beside it
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from unweave.base.files import refuse_links, sync, write_atomically
from unweave.errors import BadData

_NOTE = "unweave-export.json"


def claim(folder: Path, state: str) -> Path:
    """A place in this folder for one state of an export, found again if it is there.

    Another state's is taken away first. The note is written before anything else, so that what a kill leaves is known.

    Raises:
        BadData: the folder holds something that no export made.
    """
    refuse_links(folder)
    folder.mkdir(parents=True, exist_ok=True)
    note, place = folder / _NOTE, folder / "data"
    stated = json.dumps({"state": state})
    if any(path.name != _NOTE and not path.name.startswith(f".{_NOTE}.") for path in folder.iterdir()):
        if not note.is_file():
            raise BadData(f"{folder} is in the way and holds no export of unweave; move it, or give another folder")
        if note.read_text(encoding="utf-8") != stated and place.exists():
            refuse_links(place)
            shutil.rmtree(place)
            sync(folder)
    write_atomically(note, lambda path: path.write_text(stated, encoding="utf-8"))
    return place
