"""Exact accounting: every score as a sum of named parts."""
