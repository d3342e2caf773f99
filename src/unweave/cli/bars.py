"""Progress on a terminal: a bar with rate and time left, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from unweave.base.plain import plain
from unweave.base.progress import Advance


class Bars:
    """Draws a bar for each piece of long work, and lines above it."""

    @contextmanager
    def steps(self, label: str, total: int, unit: str, done: int) -> Iterator[Advance]:
        from tqdm import tqdm

        # A bar appears once the work has lasted two seconds: shorter work needs none.
        with tqdm(
            total=total,
            initial=done,
            desc=f"  {plain(label, 60)}",
            unit=f" {unit}",
            delay=2,
            mininterval=0.5,
            dynamic_ncols=True,
        ) as bar:
            yield bar.update

    def say(self, line: str) -> None:
        from tqdm import tqdm

        tqdm.write(f"  {plain(line)}", file=sys.stderr)  # above the bar, if there is one
