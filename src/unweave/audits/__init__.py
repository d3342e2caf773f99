"""Audits of a retriever: what it gets wrong, whom it shows too often, and what of that a counterfactual confirms."""
