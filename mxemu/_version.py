"""The version, once: the package metadata, the command line and the reports read it here."""

__version__ = "0.3.0"
