"""A subject that allocates until something stops it; its decode is right."""

from good import decode

__all__ = ["capabilities", "decode", "encode", "name", "version"]

name = "memory_hog"
version = "1.0"
capabilities = {
    "operations": {
        "encode": {"formats": ["E2M1"], "carriers": ["binary32"]},
        "decode": {"formats": ["E2M1"], "carriers": ["binary32"]},
    }
}


def encode(values, element):
    kept = []
    while True:
        kept.append(bytearray(1 << 20))
