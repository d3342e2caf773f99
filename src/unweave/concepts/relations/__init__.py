"""How concepts relate, as functions of arrays."""
