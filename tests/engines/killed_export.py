"""Send an index to an engine, or search what it holds, and be killed at it.

python tests/engines/killed_export.py ENGINE INDEX FOLDER MOMENT

MOMENT is `between` for after two batches, `within` for while the third is on its way, `searching` for in mid-search.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import engines_here as here

from unweave.engines import sending
from unweave.engines.sending import send, shape_of
from unweave.index.concept_index import ConceptIndex

name, index, folder, moment = sys.argv[1:]
sent = 0


def end() -> None:
    """End as by a power cut."""
    os.kill(os.getpid(), signal.SIGKILL)


def done() -> None:
    """Count a batch, and end after the second, at once or while the third is on its way."""
    global sent
    sent += 1
    if sent == 2 and moment == "between":
        end()
    if sent == 2 and moment == "within":
        threading.Timer(0.003, end).start()


if __name__ == "__main__":
    sending.BATCH = 64
    with here.running(name, Path(folder)) as engine:
        opened = ConceptIndex.open(index)
        send(opened, engine, shape_of(opened, ""), done=done)
        if moment == "searching":
            threading.Timer(0.2, end).start()
        while moment == "searching":
            assert all(found.ids for found in engine.search(here.queries(), 10))
        time.sleep(60)  # the third batch was faster
