"""A subject that loses the last code."""

from good import encode as whole_encode

name = "wrong_shape"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def encode(values, element):
    return whole_encode(values, element)[:-1]
