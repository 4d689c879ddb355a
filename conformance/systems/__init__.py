"""Subjects that the suite brings adapters for, one folder each; the libraries are installed by their users."""
