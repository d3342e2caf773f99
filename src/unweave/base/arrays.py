"""Writing `.npy` files so that a full disk says so, and piece by piece when their length is known only at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray
from safetensors import SafetensorError

from unweave.base.plain import plain


def save_array(path: Path, array: NDArray[Any]) -> None:
    """Write an array as `numpy.save` does, whose own error for a full disk has no number.

    Raises:
        OSError: it could not be written.
    """
    array = np.ascontiguousarray(array)
    with path.open("wb") as file:
        npy.write_array_header_1_0(file, npy.header_data_from_array_1_0(array))
        file.write(array.reshape(-1).view(np.uint8).data)


@contextmanager
def disk_errors() -> Iterator[None]:
    """What safetensors says of a disk that is full or cannot be written, as the OSError that it is."""
    try:
        yield
    except SafetensorError as error:
        raise OSError(plain(str(error), 200)) from error


_FEW = 8192
"""Elements given one by one that are written at once."""


class ArrayWriter:
    """An array, (n,) or (n, width), that grows on disk; `len()` is n so far."""

    def __init__(self, path: Path, dtype: DTypeLike, width: int | None = None) -> None:
        self._path = path
        self._dtype = np.dtype(dtype)
        self._row = () if width is None else (width,)
        self._written = 0
        self._few: list[Any] = []

    def __len__(self) -> int:
        return self._written + len(self._few)

    def __enter__(self) -> ArrayWriter:
        self._file: BinaryIO = self._path.open("wb")
        self._write_header()
        return self

    def add(self, element: Any) -> None:
        """Write the next element, soon."""
        self._few.append(element)
        if len(self._few) == _FEW:
            self._flush()

    def extend(self, elements: Iterable[Any]) -> None:
        """Write the next elements, soon."""
        self._few.extend(elements)
        if len(self._few) >= _FEW:
            self._flush()

    def append(self, piece: NDArray[Any]) -> None:
        """Write the next elements, or rows."""
        assert piece.shape[1:] == self._row
        self._flush()
        self._write(piece)

    def _flush(self) -> None:
        if self._few:
            self._write(np.array(self._few, self._dtype))
            self._few = []

    def _write(self, piece: NDArray[Any]) -> None:
        self._file.write(np.ascontiguousarray(piece, self._dtype).reshape(-1).view(np.uint8).data)
        self._written += len(piece)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._file:
            if kind is None:
                self._flush()
                self._file.seek(0)
                self._write_header()

    def _write_header(self) -> None:
        # NumPy leaves room in a header for the first axis to grow, so that this one can be written again in place.
        description = npy.dtype_to_descr(self._dtype)
        npy.write_array_header_1_0(
            self._file, {"descr": description, "fortran_order": False, "shape": (self._written, *self._row)}
        )
