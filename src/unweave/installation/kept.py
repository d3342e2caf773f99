"""What lies on the disk beside code: what travels in the package, caches and their sizes, and where keys would be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from unweave.base import packaged
from unweave.base.artifact import read_manifest, verify
from unweave.config import LanguageModelConfig
from unweave.errors import UnweaveError
from unweave.language.local import cache_folder

KEYS = (
    LanguageModelConfig().key_from, "HF_TOKEN", "ELASTICSEARCH_API_KEY", "OPENSEARCH_USER", "OPENSEARCH_PASSWORD",
    "QDRANT_API_KEY", "MILVUS_TOKEN", "VESPA_CLOUD_SECRET_TOKEN",
)  # fmt: skip
"""Variables of the environment that hold keys, by default."""
_KERNELS = (".nbi", ".nbc")
"""How the files end in which numba keeps what it compiled."""


@dataclass(frozen=True)
class Part:
    """Something that travels in the package."""

    name: str
    path: str
    said: str
    """What is wrong with it; empty if it is whole."""


@dataclass(frozen=True)
class Cache:
    """A folder that fills by itself, and that may be deleted."""

    name: str
    path: str
    n_bytes: int
    moved_by: str
    """The variable of the environment that puts it elsewhere."""
    writable: bool


def parts() -> tuple[Part, ...]:
    """What travels in the package; every byte of the dictionary is compared with what was written."""
    pages = (("explorer's pages", packaged.PAGES / "index.html"), ("report's drawings", packaged.REPORT / "report.js"))
    return (
        Part("dictionary", str(packaged.DICTIONARY), _wrong_with_the_dictionary()),
        *(Part(name, str(path.parent), "" if path.is_file() else "not built") for name, path in pages),
    )


def _wrong_with_the_dictionary() -> str:
    try:
        verify(packaged.DICTIONARY, read_manifest(packaged.DICTIONARY, "sae"))
    except (UnweaveError, OSError) as error:
        return str(error)
    return ""


def caches() -> tuple[Cache, ...]:
    """The folders that fill while unweave and the packages below it work."""
    home = Path.home()
    xdg = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    hub_home = Path(os.environ.get("HF_HOME") or xdg / "huggingface")
    kernels, variable = _kernels(xdg)
    return (
        _cache("compiled kernels", kernels, variable, _KERNELS),
        _cache("models of the hub", Path(os.environ.get("HF_HUB_CACHE") or hub_home / "hub"), "HF_HUB_CACHE"),
        _cache("collections", Path(os.environ.get("IR_DATASETS_HOME") or home / ".ir_datasets"), "IR_DATASETS_HOME"),
        _cache("joined weights", cache_folder(), "XDG_CACHE_HOME"),
    )


def _kernels(xdg: Path) -> tuple[Path, str]:
    """Where numba keeps this package's kernels: as it is told, beside their source, or among the user's caches."""
    told = os.environ.get("NUMBA_CACHE_DIR")
    beside = packaged.PACKAGE
    return Path(told) if told else beside if os.access(beside, os.W_OK) else xdg / "numba", "NUMBA_CACHE_DIR"


def _cache(name: str, path: Path, variable: str, endings: tuple[str, ...] = ("",)) -> Cache:
    n_bytes = sum(size for file, size in _files(path) if file.endswith(endings))
    nearest = next(one for one in (path, *path.parents) if one.exists())
    return Cache(name, str(path), n_bytes, variable, os.access(nearest, os.W_OK))


def _files(folder: Path) -> Iterator[tuple[str, int]]:
    """Every file below a folder, with its size; links are not followed, and what cannot be read is passed over."""
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                yield name, (Path(place) / name).lstat().st_size


def keys() -> dict[str, bool]:
    """Whether each variable that holds a key by default is set; what it holds is not looked at."""
    return {name: bool(os.environ.get(name)) for name in KEYS}
