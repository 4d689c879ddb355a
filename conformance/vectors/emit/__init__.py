"""Renderings of vectors and tables for people who never run Python."""
