"""A subject with every kind of finding, for the tests of reports."""

from __future__ import annotations

from functools import cache
from types import SimpleNamespace

import numpy as np

from conformance import zoo
from conformance.report.content import Content
from conformance.runner import Filters, Run, check
from conformance.worker import InProcess

STRANGE = '<b> & "x"\x00: 50%, ::error::\nnext'


def subject(**more: object) -> SimpleNamespace:
    """Wrong ties, a wrong scale, a raise with a strange message, refusals, a missing capability, a wrong sum."""
    log2 = next(one for one in zoo.MEMBERS if one.name == "float-log2-binary32")
    dots = next(one for one in zoo.MEMBERS if one.name == "last-lane-dropped")

    def encode(values: np.ndarray, name: str, profile: object) -> np.ndarray:
        if name == "E4M3":
            raise ValueError(STRANGE)
        codes = zoo.ties_toward_zero.encode(values, name, profile).astype(np.int64)
        return np.where(np.isnan(values), -1, codes)

    floats = {"carriers": ["binary32"]}
    offered = {
        "encode": {"formats": ["E2M1", "E4M3", "E5M2"], **floats},
        "decode": {"formats": ["E2M1"], **floats},
        "quantize": {"formats": ["MXFP4_E2M1"], **floats},
        "dot": {"formats": ["MXFP4_E2M1"]},
        "pack": {"formats": ["MXFP4_E2M1"], "carriers": []},
    }
    made = SimpleNamespace(
        name="mine<&>",
        version="2.1",
        capabilities={"operations": offered},
        encode=encode,
        decode=zoo.reference.decode,
        quantize=log2.quantize,
        dot=dots.dot,
        pack=len,
    )
    made.__dict__.update(more)
    return made


def run_of(made: object, filters: Filters | None = None, target: str = "mine.py") -> Run:
    """A smoke run in this process."""
    worker = InProcess(made)
    return check(worker, Run(target, worker.introduce(), "smoke", None), filters or Filters())


@cache
def content() -> Content:
    """The report of that subject."""
    return Content(run_of(subject()), 1)
