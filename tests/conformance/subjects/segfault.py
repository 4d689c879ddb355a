"""A subject that takes its process down."""

import os
import signal

name = "segfault"
version = "1.0"
capabilities = {"operations": {"encode": {"formats": ["E2M1"], "carriers": ["binary32"]}}}


def encode(values, element):
    os.kill(os.getpid(), signal.SIGSEGV)
