"""A subject whose encode takes the process down for binary64 only, after a word about it; everything else is right."""

import os
import signal

import numpy as np
from good import decode
from good import encode as true_encode

__all__ = ["capabilities", "decode", "encode", "name", "version"]

name = "partly"
version = "1.0"
capabilities = {
    "operations": {
        "encode": {"formats": ["E2M1"], "carriers": ["binary64", "binary32"]},
        "decode": {"formats": ["E2M1"], "carriers": ["binary32"]},
    }
}


def encode(values, element):
    if values.dtype == np.float64:
        print("partly: no table for 64 bits", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
    return true_encode(values, element)
