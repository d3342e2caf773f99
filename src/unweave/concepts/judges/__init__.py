"""Whether a name is right, one kind of judge a module."""
