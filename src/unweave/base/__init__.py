"""What every room stands on: files that are whole or not there, records, vectors, cores, plain text, progress."""
