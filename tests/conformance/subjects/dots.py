"""Dot products as some matrix units compute them, and a record of its own that travels to the worker."""

import mxemu
from mxemu.formats import block_format

name, version = "dots", "3"
OFFER = {"formats": ["MXFP8_E4M3", ["MXFP4", "MXINT8"]], "c": True}
UNIT = {
    "name": "unit",
    "node": {
        "kind": "chain",
        "length": 8,
        "step": {"fraction_bits": 20, "out": "binary32 toward-zero"},
    },
}
capabilities = {
    "operations": {"dot": OFFER, "dot-general": OFFER, "matmul": OFFER},
    "variants": {
        "silent": {},
        "honest": {"accumulation": "nv-hopper-fp8-wgmma"},
        "wrong": {"accumulation": "fp32-fma"},
        "own": {"accumulation": UNIT},
    },
}


def variant(chosen):
    return Own() if chosen == "own" else Hopper()


def blocks(scales, codes, name):
    fmt = block_format(name)
    return mxemu.Blocks(codes.reshape(len(codes), -1, fmt.k), scales, fmt)


class Hopper:
    name, version, capabilities = name, version, capabilities

    def _added(self, asked):
        return "nv-hopper-fp8-wgmma"

    def dot(self, sa, a, sb, b, c, formats, accumulation):
        operands = blocks(sa, a, formats[0]), blocks(sb, b, formats[1])
        return mxemu.dot(*operands, c=c, accumulation=self._added(accumulation), bits=True)

    def matmul(self, sa, a, sb, b, c, formats, accumulation):
        operands = blocks(sa, a, formats[0]), blocks(sb, b, formats[1])
        return mxemu.matmul(*operands, c=c, accumulation=self._added(accumulation), bits=True)


class Own(Hopper):
    def _added(self, asked):
        return asked


dot, matmul = Hopper().dot, Hopper().matmul
