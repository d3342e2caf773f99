"""What reading any format needs: settings and tensors of untrusted files, checked, and put together as an SAE."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save_file

from unweave.base.arrays import disk_errors
from unweave.base.files import write_atomically
from unweave.base.foreign import LARGEST_SETTINGS, parse_json, read_settings, shown
from unweave.base.plain import plain
from unweave.config import THRESHOLD, SAEConfig
from unweave.errors import CorruptArtifact, MissingArtifact, UnweaveError
from unweave.sae.model import SAE

Floats = NDArray[np.float32]
_MOST = 2**31 - 1
_LARGEST = float(np.finfo(np.float32).max)
LAYER_NORM = (
    "ours reads embeddings as they are, and a layer normalisation differs from text to text, so that no weights can "
    "hold it; set it to {off} and let the SAE read embeddings that are normalised already, (x - x.mean()) / "
    "(x.std(ddof=1) + 1e-5), or train it without"
)
"""What to do about an SAE that normalises each embedding; {off}: what its setting says where it does not."""
_ALREADY_UNIT = 1e-6
"""Directions whose lengths differ from 1 by no more than this are left as they are."""


class UnsupportedSAE(UnweaveError):
    """An SAE of another tool computes something that ours does not, or the other way round."""


class SettingsFile:
    """The JSON object in a settings file; every value is checked for its type when it is asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path
        if not path.is_file():
            raise MissingArtifact(f"there is no {path.name} in {path.parent}")
        try:
            values = read_settings(path)
        except ValueError as error:
            raise CorruptArtifact(f"{path} is not JSON ({plain(str(error), 200)}); fetch it again") from error
        if not isinstance(values, dict):
            raise CorruptArtifact(f"{path} holds a {type(values).__name__}, expected an object of settings")
        self.values: dict[str, Any] = values

    def __contains__(self, name: str) -> bool:
        return self.values.get(name) is not None

    def whole(self, name: str, default: int | None = None, least: int = 1) -> int:
        """A whole number from `least` to 2,147,483,647."""
        value: int = self._value(
            name, default, lambda v: type(v) is int and least <= v <= _MOST, f"a whole number from {least} to {_MOST:,}"
        )
        return value

    def number(self, name: str, default: float) -> float:
        """A number from 0 on that a float32 holds."""
        value: float = self._value(
            name, default, lambda v: type(v) in (int, float) and 0 <= v <= _LARGEST, "a number from 0 on"
        )
        return float(value)

    def flag(self, name: str, default: bool = False) -> bool:
        """True or false."""
        value: bool = self._value(name, default, lambda v: isinstance(v, bool), "true or false")
        return value

    def text(self, name: str, default: str) -> str:
        """A string."""
        value: str = self._value(name, default, lambda v: isinstance(v, str), "a string")
        return value

    def _value(self, name: str, default: object, fits: Callable[[Any], bool], expected: str) -> Any:
        """A setting of the right kind; the default, if there is one, where it is absent or null."""
        value = self.values.get(name)
        if value is None and default is not None:
            return default
        if not fits(value):
            raise CorruptArtifact(f"{self.path}: {name} is {shown(value)}, expected {expected}")
        return value

    def section(self, name: str) -> dict[str, Any]:
        """An object inside the settings; empty if there is none."""
        value = self.values.get(name)
        return value if isinstance(value, dict) else {}

    def refuse(self, name: str, *allowed: object, why: str) -> None:
        """Raise unless the setting is absent or one of the allowed values."""
        value = self.values.get(name)
        if value is not None and value not in allowed:
            raise UnsupportedSAE(f"{self.path}: {name} is {shown(value)}, which is not supported: {why}")


class Tensors:
    """The floating-point tensors of a file, as float32; every one is read and checked when it is taken."""

    def __init__(
        self, path: Path, tensors: Mapping[str, NDArray[Any]], notes: Mapping[str, object] | None = None
    ) -> None:
        """Tensors of floats, or, of uint16, bfloat16's bits, and what the file's header says beside them."""
        self.path = path
        self.notes = notes or {}
        self._tensors = tensors

    @classmethod
    def of_safetensors(cls, path: Path) -> Tensors:
        """Read float64, float32, float16 and bfloat16; other tensors, such as counters, are passed over.

        Nothing is read but the header, which may have `LARGEST_SETTINGS` bytes: a tensor is mapped to where it stands.

        Raises:
            MissingArtifact, CorruptArtifact: there is no such file, or it is no whole safetensors file.
        """
        if not path.is_file():
            raise MissingArtifact(f"there is no {path.name} in {path.parent}")
        try:
            return cls(path, *_mapped(path))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            said = plain(str(error), 200)
            raise CorruptArtifact(f"{path} is not a whole safetensors file ({said}); fetch it again") from error

    def __contains__(self, name: str) -> bool:
        return name in self._tensors

    def take(self, name: str, *shape: int | None) -> Floats:
        """One tensor of this shape (None: any size), finite.

        Raises:
            CorruptArtifact: it is missing, has another shape, or holds NaN or infinite values.
        """
        tensor = self._tensors.get(name)
        if tensor is None:
            there = ", ".join(shown(key) for key in sorted(self._tensors)[:12]) or "none"
            raise CorruptArtifact(f"{self.path} has no tensor {name}; there are: {there}")
        fits = len(shape) == tensor.ndim and all(
            want in (None, size) for want, size in zip(shape, tensor.shape, strict=True)
        )
        if not fits or tensor.size == 0:
            wanted = "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"
            raise CorruptArtifact(f"{self.path}: {name} has the shape {tensor.shape}, expected {wanted}")
        floats = _as_float32(tensor)
        if not np.isfinite(floats).all():
            raise CorruptArtifact(f"{self.path}: {name} holds NaN or infinite values")
        return floats


_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
"""bfloat16 is the upper half of a float32, and NumPy has no name for it."""


def _mapped(path: Path) -> tuple[dict[str, NDArray[Any]], Mapping[str, object]]:
    """The tensors of floats in a safetensors file, by name, of which none is read, and its notes."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(LARGEST_SETTINGS, size - 8):
            raise ValueError(f"a header of {length:,} bytes; it may have {LARGEST_SETTINGS:,}, the file has {size:,}")
        header = parse_json(file.read(length))
    if not isinstance(header, dict):
        raise ValueError(f"its header is {shown(header)}, expected an object")
    notes = header.pop("__metadata__", None)
    n_bytes = size - 8 - length
    ends = [0]
    found = {}
    for name, entry in header.items():
        dtype, shape, (begin, end) = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not all(type(n) is int and 0 <= n <= size for n in (*shape, begin, end)) or begin > end:
            raise ValueError(f"{shown(name)} is said to have the shape {shown(shape)}, from {begin} to {end}")
        ends.append(end)
        if dtype not in _DTYPES:
            continue
        kind = np.dtype(_DTYPES[dtype])
        if math.prod(shape) * kind.itemsize != end - begin or end > n_bytes:
            raise ValueError(f"{shown(name)} of shape {shown(shape)} takes other bytes than {begin} to {end}")
        at = 8 + length + begin
        found[name] = np.memmap(path, kind, "r", at, tuple(shape)) if end > begin else np.empty(shape, kind)
    if max(ends) != n_bytes:
        raise ValueError(f"{n_bytes:,} bytes of tensors, where its header says {max(ends):,}")
    return found, notes if isinstance(notes, dict) else {}


def _as_float32(tensor: NDArray[Any]) -> Floats:
    if tensor.dtype.kind == "u":
        return (tensor.astype(np.uint32) << 16).view(np.float32)
    with np.errstate(over="ignore", under="ignore"):  # what is too large for a float32 is refused as infinite
        return tensor.astype(np.float32)


def write_files(
    weights: Path, tensors: Mapping[str, NDArray[Any]], config: Path, settings: Mapping[str, object],
    metadata: dict[str, str] | None = None,
) -> None:  # fmt: skip
    """Write tensors, floating-point ones as float32, and then the settings, each file whole or not at all."""
    contiguous = {
        name: np.ascontiguousarray(tensor, np.float32 if tensor.dtype.kind == "f" else None)
        for name, tensor in tensors.items()
    }
    with disk_errors():
        write_atomically(weights, lambda p: save_file(contiguous, p, metadata))
    write_atomically(config, lambda p: p.write_text(json.dumps(settings, indent=1), encoding="utf-8"))


def assemble(
    source: Path,
    *,
    selection: str,
    k: int,
    W_enc: Floats,
    b_enc: Floats,
    W_dec: Floats,
    b_pre: Floats,
    threshold: Floats | None = None,
    encoder: str = "",
) -> SAE:
    """An SAE of tensors that were read, (n_latents, d_in), with k checked."""
    n_latents, d_in = W_dec.shape
    if not 0 < k <= n_latents:
        raise CorruptArtifact(f"{source} states k = {k}, expected 1 to {n_latents}, the number of its latents")
    config = SAEConfig(d_in=d_in, n_latents=n_latents, k=k, selection=selection, encoder=encoder)
    floor = np.zeros(1, np.float32) if threshold is None else threshold
    tensors = (np.ascontiguousarray(tensor, np.float32) for tensor in (W_enc, b_enc, W_dec, b_pre, floor))
    return SAE(config, *tensors)


def with_unit_directions(sae: SAE) -> SAE:
    """The same function with directions of length 1: activations, encoder and thresholds grow by the old lengths.

    x_hat stays as it was, and which latents are active; z_j becomes |w_j| z_j. Not to be used where activations
    compete (top k), unless the tool compares them in that unit. A direction of length 0 stays.
    """
    lengths = np.linalg.norm(sae.W_dec.astype(np.float64), axis=1)
    if np.abs(lengths - 1).max() <= _ALREADY_UNIT:
        return sae
    scale = np.where(lengths > 0, lengths, 1)
    return replace(
        sae,
        W_enc=(sae.W_enc * scale[:, None]).astype(np.float32),
        b_enc=(sae.b_enc * scale).astype(np.float32),
        W_dec=(sae.W_dec / scale[:, None]).astype(np.float32),
        threshold=(sae.threshold * scale).astype(np.float32) if sae.config.selection == THRESHOLD else sae.threshold,
    )


def bias_of_raw_input(W_enc: Floats, b_enc: Floats, b_pre: Floats) -> Floats:
    """b_enc of an encoder that does not subtract b_pre: W_enc x + b = W_enc (x - b_pre) + (b + W_enc b_pre)."""
    shift = W_enc.astype(np.float64) @ b_pre.astype(np.float64)
    return np.asarray(b_enc + shift, np.float32)
