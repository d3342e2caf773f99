"""Training an SAE; the only part of this room that needs torch."""
