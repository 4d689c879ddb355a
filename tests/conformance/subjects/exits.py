"""A subject that leaves by the door."""

import sys

name = "exits"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def encode(values, element):
    sys.exit(3)
