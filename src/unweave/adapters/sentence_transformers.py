"""sentence-transformers: a `SparseEncoder` whose dimensions are concepts, whose `decode` names them, and whose dot
product is the score of concept search.

An example, with a project in the folder `demo`:

    encoder = SparseEncoder(modules=[ConceptModule("demo")])
    query, texts = encoder.encode_query("wind power"), encoder.encode_document(["Wind turbines make power."])
    print(encoder.decode(query, top_k=3), encoder.similarity(query, texts))
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from unweave.adapters.needed import needed
from unweave.adapters.source import named, names_of
from unweave.adapters.sparse import SparseTexts
from unweave.base.plain import plain
from unweave.concepts.concept import LONGEST_NAME
from unweave.project import Project

with needed("the sparse encoder", "encode"):
    import torch
    from sentence_transformers.base.modules.input_module import InputModule


class ConceptModule(InputModule):
    """Texts to weights or impacts, by a project's own encoder: queries by `encode_query`, all others are passages.

    What a saved encoder holds is where the project lies.
    """

    config_keys = ["source", "profile"]  # noqa: RUF012 - as sentence-transformers has it
    forward_kwargs = {"task"}  # noqa: RUF012

    def __init__(self, source: Project | Path | str, profile: str = "default") -> None:
        """Take a project, or its folder, and which of its indexes decides the scoring: `default` or `paper`."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.source, self.profile = named(source), profile
        self.tokenizer: Any = _ConceptNames(source)
        self._texts = SparseTexts(source, profile)

    def preprocess(self, inputs: Sequence[Any], prompt: str | None = None, **kwargs: Any) -> dict[str, torch.Tensor]:
        """The vectors, (n, n_latents): here, for the project's encoder reads texts."""
        texts = [f"{prompt or ''}{text}" for text in inputs]
        found = self._texts.queries(texts) if kwargs.get("task") == "query" else self._texts.passages(texts)
        return {"sentence_embedding": torch.from_numpy(found.toarray())}

    def forward(self, features: dict[str, torch.Tensor], **_: Any) -> dict[str, torch.Tensor]:
        return features

    def get_embedding_dimension(self) -> int:
        return self._texts.index.n_latents

    def save(self, output_path: str, *args: Any, **kwargs: Any) -> None:
        self.save_config(output_path)


class _ConceptNames:
    """What `decode` takes for a tokenizer: a dimension's token is its concept's name."""

    def __init__(self, source: Project | Path | str) -> None:
        self._source = source

    def convert_ids_to_tokens(self, ids: Sequence[int]) -> list[str]:
        names = names_of(self._source)
        return [plain(names.get(latent, ""), LONGEST_NAME) or f"#{latent}" for latent in ids]
