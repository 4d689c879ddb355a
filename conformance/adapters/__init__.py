"""Transports: how the checker reaches an implementation that is no Python object."""
