"""Adapters as objects of one file; the file itself is none."""

from types import SimpleNamespace

import good


class Even:
    """Made when it is loaded."""

    name = "even"
    version = "1.0"
    capabilities = good.capabilities

    def encode(self, values, element, profile):
        return good.encode(values, element)

    def decode(self, codes, element):
        return good.decode(codes, element)


class NeedsAnArgument:
    def __init__(self, table):
        self.table = table


ready = Even()
nested = SimpleNamespace(deep=ready)
