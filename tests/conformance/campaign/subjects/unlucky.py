"""Subjects that are right but for some inputs: there they are wrong, raise, die or hang."""

import hashlib
import os
import signal
import time
from pathlib import Path

import numpy as np

import mxemu
from mxemu.formats import block_format

name, version = "unlucky", "1"
capabilities = {
    "operations": {
        "encode": {"formats": ["E4M3"], "carriers": ["binary32"]},
        "dot": {"formats": ["MXFP8_E4M3"], "c": True},
    },
    "profile": "ocp",
}


def has(values, low):
    """Which numbers have these low 8 bits."""
    bits = np.ascontiguousarray(values).view(np.uint32)
    return (bits & 0xFF) == low


def blocks(scales, codes, label):
    fmt = block_format(label)
    return mxemu.Blocks(codes.reshape(len(codes), -1, fmt.k), scales, fmt)


class Wrong:
    """Wrong on some numbers, raises on others, and adds up dot products in a way of its own."""

    name, version, capabilities = name, version, capabilities

    def encode(self, values, element):
        if has(values, 0x23).any():
            raise ValueError("an unlucky number")
        return mxemu.encode(values, element) ^ has(values, 0xBC)

    def dot(self, sa, a, sb, b, c, formats, accumulation):
        operands = blocks(sa, a, formats[0]), blocks(sb, b, formats[1])
        return mxemu.dot(*operands, c=c, accumulation="nv-hopper-fp8-wgmma", bits=True)


OFFER = {"formats": ["E2M1"], "carriers": ["binary32"]}


class Encoder:
    """What the next two share: E2M1 from binary32."""

    name, version = name, version

    @property
    def capabilities(self):
        return {"operations": {"encode": OFFER}}

    def encode(self, values, element):
        if has(values, 0xA5).any():
            self.meet()
        return mxemu.encode(values, element)


class Dies(Encoder):
    def meet(self):
        os.kill(os.getpid(), signal.SIGSEGV)


class Hangs(Encoder):
    def meet(self):
        while True:
            time.sleep(1)


class Noted:
    """Right, and slow enough to be killed at it."""

    name, version = name, version

    @property
    def capabilities(self):
        return {"operations": {"decode": OFFER}}

    def decode(self, codes, element):
        note(codes)
        return mxemu.decode(codes, element)


def note(array):
    """Write down what was asked, and who was asked, where the tests say."""
    path = os.environ.get("UNLUCKY_LOG")
    if path:
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()[:16]
        with Path(path).open("a") as file:
            file.write(f"{digest} {os.getpid()}\n")
        time.sleep(0.05)


wrong, dies, hangs, noted = Wrong(), Dies(), Hangs(), Noted()
