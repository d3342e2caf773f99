"""Measure retrieval: `runs` holds rankings, `systems` makes them, `measures` reads them, `evaluate` does it all."""
