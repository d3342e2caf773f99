"""What is installed here, what this machine has, and what to do about what is missing: `unweave doctor`."""
