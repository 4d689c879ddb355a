"""Texts made from the templates of this package."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

TEMPLATES = Path(__file__).parent / "templates"


@cache
def environment() -> Any:
    """The templates, without escaping; a name that one misses is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

    return Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=select_autoescape(default=False, default_for_string=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def render(template: str, context: Mapping[str, Any]) -> str:
    """The text of a template, such as ``vec_h.j2``."""
    text: str = environment().get_template(template).render(context)
    return text


def squeezed(text: str) -> str:
    """A text in which empty lines never follow each other."""
    return re.sub(r"\n{3,}", "\n\n", text)
