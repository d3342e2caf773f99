"""What the pages ask for, by view."""
