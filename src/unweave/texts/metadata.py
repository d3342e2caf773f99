"""Which passages have a value in their metadata, without reading any passage.

    fields.json            each field's first number of a value and how many values it has, or null: see below
    values.txt             the values, ascending within each field (see `base.strings`), with values_ends.npy
    value_starts.npy       (n_values + 1,) int64: where the list of each value starts, and the end
    value_positions.npy    (n_entries,) int32: positions of the passages, ascending for each value

A field of free text, or of more than 100,000 values, has no lists, so that the table stays small beside the passages.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unweave.base.arrays import ArrayWriter, save_array
from unweave.base.artifact import Manifest, damaged, load_array, read_json
from unweave.base.inverted import by_column, counts_by_column
from unweave.base.pages import Checked
from unweave.base.strings import Strings
from unweave.errors import BadData

MOST_VALUES = 100_000
"""Values of a field that has lists, at most."""
LONGEST_VALUE = 200
"""Characters of such a value, at most."""
_PLAIN = (str, int, float, bool, type(None))


def as_texts(value: Any) -> list[str]:
    """A value of metadata as the texts it is compared by: a list has those of its members, None has none."""
    if isinstance(value, list):
        return [str(one) for one in value]
    return [] if value is None else [str(value)]


class MetadataWriter:
    """Gathers what `Metadata` reads, passage by passage; used as a context, in which nothing is kept on an error."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._fields: dict[str, dict[str, int] | None] = {}  # the code of each value, by field; None: no lists
        self._n_codes = 0
        self._codes_file, self._positions_file = (folder / f"metadata.{name}.npy" for name in ("codes", "positions"))

    def __enter__(self) -> MetadataWriter:
        with ExitStack() as files:
            self._codes = files.enter_context(ArrayWriter(self._codes_file, np.int32))
            self._positions = files.enter_context(ArrayWriter(self._positions_file, np.int32))
            self._files = files.pop_all()
        return self

    def add(self, position: int, metadata: Mapping[str, Any]) -> None:
        """Take in the metadata of the next passage."""
        for name, value in metadata.items():
            codes = self._fields.get(name)
            if codes is None and name in self._fields:
                continue
            code = codes.get(value) if codes is not None and type(value) is str else None
            if code is None:
                self._add(position, name, value)
            else:  # the common case, in which nothing has to be made
                self._codes.add(code)
                self._positions.add(position)

    def _add(self, position: int, name: Any, value: Any) -> None:
        if type(name) is not str or type(value) not in _PLAIN:
            ((name, value),) = json.loads(json.dumps({name: value}, default=str)).items()  # as it will be read
        name = _as_stored(name)
        codes = self._fields.setdefault(name, {})
        if codes is None:
            return
        for text in dict.fromkeys(map(_as_stored, as_texts(value))):
            if text not in codes:
                if len(codes) == MOST_VALUES or len(text) > LONGEST_VALUE:
                    self._fields[name] = None
                    return
                codes[text] = self._n_codes
                self._n_codes += 1
            self._codes.add(codes[text])
            self._positions.add(position)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._files.__exit__(kind, error, at)
        if kind is None:
            self._write()
        self._codes_file.unlink()
        self._positions_file.unlink()

    def _write(self) -> None:
        column_of = np.full(self._n_codes, -1, dtype=np.int32)
        n_values = 0

        def ascending() -> Iterator[str]:
            nonlocal n_values
            for name in sorted(self._fields):
                for text, code in sorted((self._fields[name] or {}).items()):
                    column_of[code] = n_values
                    n_values += 1
                    yield text

        Strings.write(self._folder, "values", ascending())
        self._write_fields()
        codes, positions = (load_array(path, "corpus") for path in (self._codes_file, self._positions_file))
        counts = counts_by_column(codes, column_of, n_values)
        save_array(self._folder / "value_starts.npy", np.concatenate([[0], np.cumsum(counts)]))
        with ArrayWriter(self._folder / "value_positions.npy", np.int32) as listed:
            for entries in by_column(codes, column_of, counts):
                listed.append(positions[entries])

    def _write_fields(self) -> None:
        fields: dict[str, Any] = {}
        first = 0
        for name in sorted(self._fields):
            values = self._fields[name]
            fields[name] = None if values is None else {"first": first, "n_values": len(values)}
            first += len(values or ())
        (self._folder / "fields.json").write_text(json.dumps(fields, ensure_ascii=False, indent=1), encoding="utf-8")


FILES = Strings.files_of("values") | {"value_starts": (np.int64, 1), "value_positions": (np.int32, 1)}
"""The table's large files, as `pages.open_checked` opens them."""


class Metadata:
    """The table of a corpus's metadata."""

    def __init__(self, folder: Path, manifest: Manifest, opened: Mapping[str, Checked]) -> None:
        """Read what `MetadataWriter` left in a corpus's folder.

        Args:
            opened: the corpus's large files, those of `FILES` among them.

        Raises:
            CorruptArtifact: it is damaged.
        """
        self._fields: dict[str, dict[str, int] | None] = read_json(folder, manifest, "fields.json")
        self._values = Strings(opened, "values")
        self._starts, self._positions = opened["value_starts"], opened["value_positions"]

    @property
    def fields(self) -> list[str]:
        """The names of all fields, ascending."""
        return list(self._fields)

    def values(self, name: str, most: int) -> list[str]:
        """The first values of a field, in their order; none if it has no lists."""
        within = self._numbers(name)
        return [] if within is None else self._values[within.start : min(within.stop, within.start + most)]

    def positions(self, name: str, value: str) -> NDArray[np.int32] | None:
        """The passages whose field has this value, ascending; None: the field has no lists.

        Raises:
            BadData: no passage has a field of this name.
        """
        name = _as_stored(name)
        if name not in self._fields:
            raise BadData(f"no passage has metadata {name!r}; there are: {', '.join(self.fields) or 'none'}")
        within = self._numbers(name)
        if within is None:
            return None
        number = self._values.find(_as_stored(value), within)
        if number is None:
            return self._positions.part(0, 0)
        start, end = self._starts.part(number, number + 2).tolist()
        return self._positions.part(start, end)

    def _numbers(self, name: str) -> range | None:
        """The numbers of a field's values; None: it has no lists."""
        field = self._fields[name]
        if field is None:
            return None
        with damaged("fields.json of the corpus is no table of its metadata ({}); make the corpus anew"):
            return range(field["first"], field["first"] + field["n_values"])


def _as_stored(text: str) -> str:
    """UTF-8 has no lone surrogates; each becomes a question mark."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
