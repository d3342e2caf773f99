"""The sparse autoencoder: `model` runs a trained one with NumPy alone, `training` makes one with torch."""

from unweave.sae.model import SAE, SAEConfig

__all__ = ["SAE", "SAEConfig"]
