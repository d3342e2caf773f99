"""Other search engines, and files that they read, as places for a concept index; the local index is the truth."""
