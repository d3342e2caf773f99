"""Other people's frameworks: our retriever as one of theirs, and what theirs found explained by concepts.

A module a framework, which it imports; none knows another. All hand out the one record of `adapters.record`.
"""
