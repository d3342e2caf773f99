"""A project over HTTP for the pages of the explorer: each route is a call of a method of `Project`, no more."""
