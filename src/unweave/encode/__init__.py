"""Text to embedding, and embeddings on disk."""
