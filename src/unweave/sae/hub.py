"""SAEs on the Hugging Face hub: upload a folder with a model card, download one by name.

What is downloaded is settings and safetensors, checked against the checksums in its `config.json`; nothing in a
repository is run. The address of the hub and the token come from huggingface_hub's own settings (HF_ENDPOINT,
HF_TOKEN, `hf auth login`).
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unweave.base.artifact import MANIFEST, read_manifest, verify
from unweave.base.foreign import LARGEST_DOWNLOAD
from unweave.base.plain import plain
from unweave.errors import CorruptArtifact, MissingArtifact, MissingExtra, ModelUnavailable
from unweave.sae.formats import FILES, is_ours
from unweave.sae.model import RETURNING, SAE, WEIGHTS

if TYPE_CHECKING:
    from types import ModuleType

CARD = "README.md"
_WEIGHTS = (WEIGHTS, *sorted(name for name in FILES if name.endswith(".safetensors")))
_FILES = {MANIFEST, "latents.jsonl", "history.jsonl", *_WEIGHTS, *FILES}
"""What of a repository's folder is downloaded."""
_MEASURES = (
    "NMSE is the squared error summed over all texts, divided by the squared distance from their mean; L0 is the mean "
    "number of active latents a text; a latent is live if any of these texts activates it."
)
_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)*", re.ASCII)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+!|~$:@-])")


def is_repository(name: str) -> bool:
    """Whether this is a name as repositories have it, OWNER/NAME, or that of a folder of one, OWNER/NAME/FOLDER."""
    return bool(_HUB_NAME.fullmatch(name))


def push_to_hub(folder: Path | str, repo_id: str, *, private: bool = False) -> str:
    """Upload an SAE folder; the repository is made if need be.

    A README.md that lies in the folder is the model card; else `model_card` writes one.

    Args:
        repo_id: "OWNER/NAME".
        private: of a repository that is made; one that exists stays as it is.

    Returns:
        The address of the repository.

    Raises:
        MissingArtifact, CorruptArtifact: the folder holds no whole SAE.
        ModelUnavailable: the hub cannot be reached or refuses.
    """
    folder = Path(folder)
    SAE.load(folder)
    names = verified(folder)
    hub = _hub("uploading an SAE")
    own_card = folder / CARD
    card = own_card.read_bytes() if own_card.is_file() else model_card(folder, repo_id).encode()
    with _hub_errors(f"upload {folder} to", repo_id):
        api = hub.HfApi()
        address = str(api.create_repo(repo_id, private=private, exist_ok=True))
        contents: dict[str, Any] = {name: folder / name for name in names}
        contents[CARD] = card
        api.create_commit(
            repo_id,
            [hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=held) for name, held in contents.items()],
            commit_message="Upload a sparse autoencoder with unweave",
        )
    return address


def download(name: str, revision: str | None = None) -> Path:
    """The folder of an SAE on the hub, ours or another tool's, fetched if it is not on this machine already.

    Args:
        name: "OWNER/NAME", or "OWNER/NAME/FOLDER" where a repository holds several.
        revision: branch, tag or commit of the repository.

    Raises:
        MissingArtifact, CorruptArtifact: there is no SAE in it, it is damaged, or larger than `LARGEST_DOWNLOAD`.
        ModelUnavailable: there is no such repository, or the hub cannot be reached.
    """
    hub = _hub("downloading an SAE")
    if not is_repository(name):
        raise MissingArtifact(f"there is no folder {name}, and the name of a repository would be OWNER/NAME")
    owner, repository, *inside = name.split("/")
    repo_id, below = f"{owner}/{repository}", "".join(f"{part}/" for part in inside)
    wanted = [below + file for file in sorted(_FILES)]
    _refuse_large(hub, repo_id, revision, below, wanted)
    with _hub_errors("download", repo_id):
        folder = Path(hub.snapshot_download(repo_id, revision=revision, allow_patterns=wanted)) / below
    if is_ours(folder):
        verified(folder)
    elif not any((folder / weights).is_file() for weights in _WEIGHTS):
        raise MissingArtifact(
            f"the repository {repo_id} holds no SAE{' in ' + below if below else ''}: none of {', '.join(_WEIGHTS)}; "
            "if one of its folders does, name it: OWNER/NAME/FOLDER"
        )
    return folder


def model_card(folder: Path | str, repo_id: str = "OWNER/NAME") -> str:
    """A model card, in Markdown, from what the SAE's `config.json` states; the licence is left for its owner.

    Names that come from outside, such as the encoder's, are escaped; a number that is not stated is said not to be.
    """
    sae = SAE.load(folder)
    config, manifest = sae.config, read_manifest(Path(folder), "sae")
    results, given = manifest.results, _mapping(manifest.settings, "given")
    header = ["library_name: unweave", "tags: [sparse-autoencoder, dense-retrieval, interpretability]"]
    if is_repository(config.encoder) and config.encoder.count("/") == 1:
        header.append(f"base_model: {json.dumps(config.encoder)}")
    header.append("# license: yours to choose, e.g. apache-2.0; mind that of the training texts and of the encoder")
    trained_on, held_out = _mapping(results, "trained_on"), _mapping(results, "held_out")
    counts = [f"{_number(n, ',')} {_escaped(of)}" for of, n in trained_on.items()]
    encoder = _escaped(config.encoder) or "not stated"
    n_shared = _number(given.get("n_latents"), ",")
    shared = [f"| The first of them, taken unchanged from another dictionary | {n_shared} |"] if given else []
    rows = [("training texts", results), *((f"held-out {_escaped(of)}", each) for of, each in held_out.items())]
    precision = dict(_mapping(results, "precision"))
    if _measures(_mapping(precision, "full")) == _measures(_mapping(held_out, "passages")):
        precision.pop("full", None)  # few passages are held out, and this row is the one above
    rows += [(f"held-out passages, directions in {_escaped(of)} precision", each) for of, each in precision.items()]
    measured = [f"| {name} | {' | '.join(_measures(each))} |" for name, each in rows if isinstance(each, Mapping)]
    return "\n".join(
        [
            "---", *header, "---", "",
            f"# Sparse autoencoder of {encoder}" if config.encoder else "# Sparse autoencoder", "",
            "It writes a text's dense embedding as a few active latents, each a direction that can be named.", "",
            "| | |", "| --- | --- |",
            f"| Encoder whose embeddings it reads | {encoder} |",
            f"| Dimensions of an embedding | {config.d_in:,} |",
            f"| Latents (`n_latents`) | {config.n_latents:,} |",
            *shared,
            *_returning(sae),
            f"| Active latents a text that training aimed at (`k`) | {config.k:,} |",
            f"| How a text's latents are selected | {_escaped(config.selection)} |",
            f"| Trained on | {', '.join(counts) or 'not stated'} |", "",
            "## How well it reconstructs", "",
            _MEASURES, "",
            "| measured on | texts | NMSE | L0 | live latents | cosine |",
            "| --- | ---: | ---: | ---: | ---: | ---: |", *measured, "",
            *_sources(results),
            "## How to load it", "",
            "```python", "import unweave as uw", "",
            f"sae = uw.from_pretrained({json.dumps(plain(repo_id))}).sae",
            "latents = sae.encode(embeddings)  # (n, d_in) as the encoder gives them -> (n, n_latents), sparse",
            "```", "",
        ]
    )  # fmt: skip


def _sources(results: Mapping[str, Any]) -> list[str]:
    """How many texts are from where, if that is stated."""
    counts = _mapping(results, "sources")
    if not counts:
        return []
    rows = [f"| {_escaped(source)} | {_number(n, ',')} |" for source, n in counts.items()]
    return ["## Where its texts come from", "", "| source | texts |", "| --- | ---: |", *rows, ""]


def _returning(sae: SAE) -> list[str]:
    if not sae.returns:
        return []
    found = f"{sum(sae.returns.values()):,} of {len(sae.returns):,}"
    return [
        f"| Latents that another run, from another seed, found again (agreement of {RETURNING:g} at least) | {found} |"
    ]


def _measures(results: Mapping[str, Any]) -> list[str]:
    kinds = [("n_texts", ","), ("nmse", ".4f"), ("l0", ".1f"), ("live_latents", ","), ("cosine", ".4f")]
    return [_number(results.get(name), kind) for name, kind in kinds]


def _number(value: object, kind: str) -> str:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return "not stated"
    return format(value, kind)


def _mapping(results: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = results.get(name)
    return value if isinstance(value, Mapping) else {}


def _escaped(text: str) -> str:
    """Untrusted text as one line that Markdown and HTML show as it is."""
    return _MARKDOWN.sub(r"\\\1", html.escape(plain(text, 120), quote=False))


def _refuse_large(hub: ModuleType, repo_id: str, revision: str | None, below: str, wanted: Sequence[str]) -> None:
    """Refuse, before anything is downloaded, more than an SAE has.

    Raises:
        CorruptArtifact: the hub says that its files have over `LARGEST_DOWNLOAD` bytes.
    """
    n_bytes = 0
    with suppress(Exception):  # the download says what is wrong, or takes what is on this machine already
        for file in hub.HfApi().list_repo_tree(repo_id, below.rstrip("/") or None, revision=revision):
            if file.path in wanted:
                n_bytes += getattr(file, "size", 0)
    if n_bytes > LARGEST_DOWNLOAD:
        raise CorruptArtifact(
            f"the files of the repository {repo_id} have {n_bytes:,} bytes; an SAE may have {LARGEST_DOWNLOAD:,}"
        )


def verified(folder: Path) -> list[str]:
    """The names of an SAE folder's own files, whose contents are those that its manifest states.

    Raises:
        CorruptArtifact: they are not.
    """
    manifest = read_manifest(folder, "sae")
    for name, entry in manifest.files.items():
        if Path(name).name != name or name in (MANIFEST, CARD) or not isinstance(entry.get("sha256"), str):
            raise CorruptArtifact(f"{folder / MANIFEST} lists {plain(name, 60)!r}, which is no file of an SAE")
    verify(folder, manifest)
    return [MANIFEST, *manifest.files]


def _hub(feature: str) -> ModuleType:
    try:
        import huggingface_hub
    except ImportError as error:
        raise MissingExtra(feature, "hub") from error
    return huggingface_hub


@contextmanager
def _hub_errors(doing: str, repo_id: str) -> Iterator[None]:
    """Whatever the client raises, as one error that says what to do.

    Its errors have no common base, and those of a connection are its HTTP library's, which it has changed before.
    """
    try:
        yield
    except Exception as error:
        status = getattr(getattr(error, "response", None), "status_code", None)
        first = error if status is not None else error.__cause__ or error
        reason = f"{type(first).__name__}: {plain(str(first), 300)}"
        if status in (401, 403, 404):
            advice = "check the name, and that your token may do this (hf auth login, or HF_TOKEN)"
        elif status is not None:
            advice = "try again later"
        else:
            advice = "check the name and the connection; HF_ENDPOINT is the hub's address if it is not the public one"
        raise ModelUnavailable(f"cannot {doing} {repo_id} ({reason}); {advice}") from error
