"""A subject whose encode raises an error of its own."""

name = "raises"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def encode(values, element):
    raise RuntimeError(f"{element} lost its table\nand a second line")
