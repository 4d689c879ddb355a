"""A subject that never comes back."""

import time

name = "hangs"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def encode(values, element):
    while True:
        time.sleep(1)
