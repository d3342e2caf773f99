"""Ready-made dictionaries: an SAE with the names of its latents and the encoder that it reads, without a project."""
