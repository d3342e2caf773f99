"""The errors a user can meet. Each message says what came in, what was expected and what to do next."""

from __future__ import annotations


class UnweaveError(Exception):
    """Base of every error that unweave raises on purpose; the command line shows it as one line."""


class BadData(UnweaveError):
    """A corpus, query, judgement or embedding file holds something that cannot be used."""


class NotThere(BadData):
    """There is no passage, concept or query of the id or number that came in, or a system does not find the passage."""


class DimensionMismatch(UnweaveError):
    """Vectors are not as wide as the model or index that should read them."""


class NotTrusted(UnweaveError):
    """A project's settings reach outside of its folder, and the user has not given their word for that."""


class EarlierVersion(BadData):
    """A project was made by an earlier version, which this one cannot go on with."""


class MissingArtifact(UnweaveError):
    """A step's result is needed and is not there yet."""


class CorruptArtifact(UnweaveError):
    """A folder on disk is truncated, altered or not what it claims to be."""


class StaleArtifact(UnweaveError):
    """An artefact was made from another that has changed since."""


class ArtifactInUse(UnweaveError):
    """Another process is writing the same artefact."""


class ModelUnavailable(UnweaveError):
    """An encoder or a language model is neither on this machine nor can it be reached."""


class BadAnswer(UnweaveError):
    """A language model answered something else than it was asked for."""


class SpendingCapReached(UnweaveError):
    """One more request to a language model could cost more than may be spent."""


class MissingExtra(UnweaveError):
    """A feature needs a package that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an extra: pip install 'unweave[{extra}]'")


class ScoringUndefined(UnweaveError):
    """A scoring formula has no meaningful value for this corpus."""


class AccountingError(UnweaveError):
    """An explanation's parts do not add up to the score they explain."""
