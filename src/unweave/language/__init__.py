"""Language models, local and remote, and what they cost."""
