"""A correct subject that talks while it works: nothing of it may end up in a report."""

import sys

from good import capabilities, decode, version
from good import encode as quiet_encode

__all__ = ["capabilities", "decode", "encode", "name", "version"]

name = "prints"
print("prints: loaded")


def encode(values, element):
    print(f"prints: {len(values)} values for {element}", flush=True)
    print("prints: a warning", file=sys.stderr)
    sys.__stdout__.write('{"verdict": "pass"}\n')
    return quiet_encode(values, element)
