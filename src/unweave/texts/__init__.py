"""Texts: what users have, read into passages, queries and judgements, and kept on disk."""
