"""Peers in retrieval quality: quantised dense vectors."""
