"""Whether this process is one of several that `torchrun` started."""

from __future__ import annotations

import os


def launched() -> bool:
    """Whether `torchrun` started this process."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_helper() -> bool:
    """Whether this process works beside a first one, which alone writes files and speaks."""
    return launched() and int(os.environ["RANK"]) > 0
