"""A file that the compiler refuses, though not the linter."""

name = "syntax_error"
return name  # noqa: F706 - the error is what this file is for
