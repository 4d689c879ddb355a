"""A file that fails while it is imported."""

name = "broken_import"
version = {}["version"]
