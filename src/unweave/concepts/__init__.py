"""Concepts: latents with words. `store` keeps them, `keyphrases` names them without a language model."""
