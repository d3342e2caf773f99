"""The concept index: `scoring` turns latents into impacts, `inverted` finds the passages that share them."""
