"""What gives a latent its name, one namer a module."""
