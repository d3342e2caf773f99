"""The concept index: the passages that share concepts with a query, best first.

`scoring` makes latents into scores. `concept_index` opens and searches an index, `writer` changes one, `merging` makes
one of several; all work on `segment`s, whose posting lists `postings` packs. `kernels` and `build_kernels` are the
compiled parts, and `pages` sees to it that nothing is read that is not what was written.
"""
