"""Reports of a check: the same content as text, JSON, JUnit XML, SARIF, annotations, HTML and tables."""

from conformance.report.frames import frame

__all__ = ["frame"]
