"""Systems that rank a corpus and say why, and their sums."""
