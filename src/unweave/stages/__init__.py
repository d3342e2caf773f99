"""The stages of a project; nothing below this room knows a project."""
