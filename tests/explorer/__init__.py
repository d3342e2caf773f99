"""The explorer in a real browser. A package, so that its browser ends with its tests."""
