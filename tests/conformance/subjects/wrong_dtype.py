"""A subject that returns values where codes are expected."""

from good import decode
from good import encode as true_encode

name = "wrong_dtype"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def encode(values, element):
    return decode(true_encode(values, element), element)
