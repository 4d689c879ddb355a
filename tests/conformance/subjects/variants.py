"""One implementation with two roundings: a subject with variants, each with its own declared profile."""

from types import SimpleNamespace

import good
import numpy as np

name = "variants"
version = "1.0"
ENCODE = {"formats": ["E2M1"], "carriers": ["binary32"]}
capabilities = {
    "operations": {"encode": ENCODE},
    "profile": "ocp",
    "variants": {
        "even": {},
        "cut": {"profile": {"preset": "ocp", "rounding": "toward-zero"}},
    },
}


def encode(values, element):
    return good.encode(values, element)


def cut(values, element):
    codes = np.searchsorted(good.MAGNITUDES, np.abs(values), side="right") - 1
    negative = np.signbit(values) & ~np.isnan(values)
    return (codes | negative * 8).astype(np.uint8)


def variant(chosen):
    return SimpleNamespace(
        name=name,
        version=version,
        capabilities=capabilities,
        encode={"even": encode, "cut": cut}[chosen],
    )
