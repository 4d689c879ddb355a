"""Reports of a check: the same content as text and as JSON."""
