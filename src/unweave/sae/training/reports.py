"""What training reports, a dozen times a run: to the console, as JSON lines and to TensorBoard."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from unweave.base.files import write_atomically
from unweave.errors import MissingExtra
from unweave.sae.model import SAE

Report = dict[str, Any]
"""One report: step, texts seen, mean loss since the last; NMSE, L0 and cosine on training and held-out texts; live and
dead latents; `density`, how many latents were active in each share of the batches, by powers of ten."""

DENSITY_EDGES = (-np.inf, -4.0, -3.0, -2.5, -2.0, -1.5, -1.0, -0.5, 0.0)
"""log10 of the share of batches in which a latent was active; the first bin also holds those never active."""


_REPORTS = 12


class Window(NamedTuple):
    """Sums since the last report."""

    loss: Tensor  # () float64
    steps: Tensor  # () int64
    fired: Tensor  # (n_latents,) int64: batches in which each latent was active

    @classmethod
    def empty(cls, n_latents: int, device: str) -> Window:
        """Before the first step."""
        return cls(
            torch.zeros((), dtype=torch.float64, device=device),
            torch.zeros((), dtype=torch.int64, device=device),
            torch.zeros(n_latents, dtype=torch.int64, device=device),
        )

    def tensors(self) -> dict[str, Tensor]:
        """The sums by name."""
        return {f"window.{name}": tensor for name, tensor in self._asdict().items()}

    def add(self, loss: Tensor, fired: Tensor) -> None:
        """Count one step's loss and the latents that were active in it."""
        self.loss.add_(loss)
        self.steps.add_(1)
        self.fired.add_(fired)

    def clear(self) -> None:
        """Begin anew."""
        for tensor in self:
            tensor.zero_()

    def report(
        self, step: int, texts: int, sae: SAE, sample: NDArray[np.float32], held_out: NDArray[np.float32], dead: int
    ) -> Report:
        """What the sums and the SAE as it is now say."""
        trained = sae.measure(sample)
        unseen = sae.measure(held_out) if len(held_out) else None
        steps = max(1, int(self.steps))
        share = self.fired.cpu().numpy() / steps
        with np.errstate(divide="ignore"):
            density, _ = np.histogram(np.log10(share), DENSITY_EDGES)
        return {
            "step": step,
            "texts": texts,
            "loss": float(self.loss) / steps,
            "nmse": trained.nmse,
            "l0": trained.l0,
            "cosine": trained.cosine,
            "nmse_held_out": unseen and unseen.nmse,
            "l0_held_out": unseen and unseen.l0,
            "cosine_held_out": unseen and unseen.cosine,
            "live_latents": int((self.fired > 0).sum()),
            "dead_latents": dead,
            "density": density.tolist(),
        }


def report_steps(steps: int) -> set[int]:
    """After which of so many steps to report: a dozen times, more often early, and at the end."""
    return {max(1, round(steps * (i / _REPORTS) ** 1.5)) for i in range(1, _REPORTS + 1)}


def json_lines(path: Path) -> Callable[[Report], None]:
    """Append each report to a file, one JSON object a line, to be watched; a resumed run repeats some."""

    def tell(report: Report) -> None:
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(report) + "\n")

    return tell


def write_json_lines(path: Path, history: Sequence[Report]) -> None:
    """All reports of a finished run, one JSON object a line."""
    text = "".join(json.dumps(report) + "\n" for report in history)
    write_atomically(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def tensorboard(folder: Path) -> Callable[[Report], None]:
    """Write each report's numbers as TensorBoard events.

    Raises:
        MissingExtra: TensorBoard is not installed.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtra("writing TensorBoard events", "tensorboard") from error
    writer = SummaryWriter(str(folder))

    def tell(report: Report) -> None:
        for name, value in report.items():
            if isinstance(value, int | float) and name != "step":
                writer.add_scalar(name, value, report["step"])
        writer.flush()

    return tell
