"""Measure retrieval: `runs` holds rankings, `measures` reads them, `evaluate` does it all."""
