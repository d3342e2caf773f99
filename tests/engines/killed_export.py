"""Send an index to an engine and be killed after two batches.

python tests/engines/killed_export.py ENGINE INDEX FOLDER
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import engines_here as here

from unweave.engines import sending
from unweave.engines.sending import send, shape_of
from unweave.index.concept_index import ConceptIndex

sent = 0


def done() -> None:
    """Count a batch, and end as by a power cut after the second."""
    global sent
    sent += 1
    if sent == 2:
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    name, index, folder = sys.argv[1:]
    sending.BATCH = 64
    with here.running(name, Path(folder)) as engine:
        opened = ConceptIndex.open(index)
        send(opened, engine, shape_of(opened, ""), done=done)
