"""An SAE of the hub in a folder on this machine, with what is said there of its latents."""

from __future__ import annotations

import shutil
from pathlib import Path

from unweave.base.files import new_folder
from unweave.dictionaries.latents import read_latents, save
from unweave.sae.formats import import_sae, is_ours
from unweave.sae.hub import download, verified
from unweave.sae.model import SAE


def pull_from_hub(repo_id: str, folder: Path | str, revision: str | None = None) -> SAE:
    """Download an SAE into a folder, which must not exist yet; one of another tool becomes one of ours.

    The names of its latents come with it, in whichever of the files they stand.

    Raises: as `download`, `import_sae` and `read_latents` do.
    """
    folder = Path(folder)
    if folder.exists():
        raise ValueError(f"{folder} exists already; give a folder that does not")
    downloaded = download(repo_id, revision)
    if not is_ours(downloaded):
        sae = import_sae(downloaded)
        save(folder, sae, read_latents(downloaded, sae.config.n_latents))
        return sae
    sae = SAE.load(downloaded)
    with new_folder(folder) as made:
        for name in verified(downloaded):
            shutil.copyfile(downloaded / name, made / name)
    return sae
