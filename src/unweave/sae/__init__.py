"""The sparse autoencoder: `model` runs a trained one with NumPy alone, `training` makes one with torch."""

from unweave.config import SAEConfig
from unweave.sae.model import SAE

__all__ = ["SAE", "SAEConfig"]
