"""Every promise on speed, in one table, and whether a run keeps it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Run = Mapping[str, Any]


@dataclass(frozen=True)
class Mark:
    """One promise.

    Parameters
    ----------
    work, words : str
        What is done, and the promise in words.
    key : str
        Of the contests or figures that it is judged by.
    bound : float
        The smallest ratio of speeds for a contest, the largest figure otherwise.
    against : str
        The contestant that the ratio is taken with; empty for a figure.
    formats : tuple of str
        Element formats that it is about; empty for all.
    out : bool, optional
        Only with an array to write to, or only without.
    ahead : bool
        The ratio has to be above the bound, not just equal to it.
    """

    work: str
    words: str
    key: str
    bound: float
    against: str = ""
    formats: tuple[str, ...] = ()
    out: bool | None = None
    ahead: bool = False


_ENCODE = "binary32 -> code, 2^24, every format, every deterministic profile"
_DECODE = "code -> binary32"
_QUANTIZE = "quantize 4096 x 4096 binary32 -> codes + scales"
_FP8, _FP6, _FP4 = ("E4M3", "E5M2"), ("E3M2", "E2M3"), ("E2M1",)
_BLOCKWISE = "matmul 1024^3, each block exactly, then binary32"
_EXACT = "matmul 1024^3, one rounding"
_FUSED = "matmul 1024^3, groups cut to 13, 25 or 35 bits"
_SHORT = ("E3M2", "E2M3", "E2M1", "INT8")
_OUT_MARK = "with out=: >= 0.70 x np.copyto of float32"
_FRESH_MARK = "fresh result: >= 1.0 x a fresh float32 copy"
_COMPILED_MARK = ">= 7 x torch.compile'd torchao (FP6, FP4)"
_RCEIL_MARK = "ahead of torch.compile'd torchao RCEIL on E4M3"
_BLOCKS_MARK = ">= 10 x torch.compile'd torchao on FP4 and FP6"
_WITHIN = "within 1.5 x of the decode rate"
_WARM_MARK = "first quantize in a warm-cache process <= 0.8 s"
_COLD_MARK = "in a cold one <= 3 s, with a word on stderr that kernels are being compiled"

MARKS = (
    Mark(_ENCODE, _OUT_MARK, "encode", 0.70, "copy", out=True),
    Mark(_ENCODE, f"{_OUT_MARK}, every deterministic profile", "profiles", 0.70, "copy", out=True),
    Mark(_ENCODE, _FRESH_MARK, "encode", 1.0, "copy", out=False),
    Mark(_ENCODE, "ahead of torch's cast", "encode", 1.0, "torch", _FP8, ahead=True),
    Mark(_ENCODE, "ahead of OpenVINO's cast", "encode", 1.0, "openvino", _FP8, ahead=True),
    Mark(_ENCODE, ">= 12 x ml_dtypes", "encode", 12.0, "ml_dtypes"),
    Mark(_ENCODE, _COMPILED_MARK, "encode", 7.0, "torchao", (*_FP6, *_FP4)),
    Mark(_DECODE, ">= 2.5 x torch", "decode", 2.5, "torch", out=False),
    Mark(_DECODE, ">= 5 x ml_dtypes", "decode", 5.0, "ml_dtypes", out=False),
    Mark(_DECODE, "with out=: >= 1.0 x copy rate", "decode", 1.0, "copy", out=True),
    Mark(_QUANTIZE, _RCEIL_MARK, "quantize", 1.0, "torchao", ("E4M3",), ahead=True),
    Mark(_QUANTIZE, _BLOCKS_MARK, "quantize", 10.0, "torchao", (*_FP6, *_FP4)),
    Mark(_QUANTIZE, ">= 50 x microxcaling", "quantize", 50.0, "microxcaling"),
    Mark(_QUANTIZE, "bfloat16 input no slower", "bfloat16", 1.0, "binary32"),
    Mark("along axis 0 (columns)", ">= 0.6 x of axis -1", "axis", 0.6, "axis -1"),
    Mark("dequantize", _WITHIN, "dequantize", 1 / 1.5, "decode"),
    Mark("pack FP4", _WITHIN, "pack", 1 / 1.5, "decode", _FP4),
    Mark("pack FP6", _WITHIN, "pack", 1 / 1.5, "decode", _FP6),
    Mark(_BLOCKWISE, ">= 0.45 x numpy's float32 @", "blockwise", 0.45, "float32 @", _SHORT),
    Mark(_BLOCKWISE, ">= 0.45 x numpy's float64 @", "blockwise", 0.45, "float64 @", ("E4M3",)),
    Mark(_BLOCKWISE, ">= 0.15 x numpy's float64 @", "blockwise", 0.15, "float64 @", ("E5M2",)),
    Mark(_EXACT, ">= 0.80 x numpy's float64 @", "exact", 0.80, "float64 @"),
    Mark(_EXACT, "no slower than torchao's emulated product", "exact", 1.0, "torchao eager"),
    Mark(f"{_EXACT}, scales far apart", ">= 2 G products/s a core", "digits ns", 0.5),
    Mark(_FUSED, ">= 1 G products/s", "fused ns", 1.0),
    Mark(_FUSED, ">= 100 x MMA-Sim", "fused", 100.0, "mmasim"),
    Mark("64 elements", "<= 8 us a call", "small", 8.0),
    Mark("import mxemu", "<= 40 ms above a bare interpreter", "import", 40.0),
    Mark("import mxemu", _WARM_MARK, "first warm", 0.8),
    Mark("import mxemu", _COLD_MARK, "first cold", 3.0),
    Mark("peak memory", "inputs + outputs + <= 64 MB", "memory", 64.0),
)


@dataclass(frozen=True)
class Verdict:
    """What a run says about one mark.

    Attributes
    ----------
    mark : Mark
    threads : int
        0 where threads make no difference.
    measured : str
        The least favourable median with its quartiles, where it was found, and the most favourable one.
    met : bool or None
        None when nothing was measured.
    """

    mark: Mark
    threads: int
    measured: str
    met: bool | None

    @property
    def word(self) -> str:
        return {True: "met", False: "MISSED", None: "not measured"}[self.met]


def verdicts(run: Run) -> Iterator[Verdict]:
    """Every mark judged, for each number of threads."""
    for mark in MARKS:
        if not mark.against:
            yield _judged(mark, 0, _figures(mark, run), run)
            continue
        for threads in run["plan"]["threads"]:
            yield _judged(mark, threads, _ratios(mark, threads, run), run)


def _ratios(mark: Mark, threads: int, run: Run) -> list[tuple[list[float], str]]:
    """Quartiles of all ratios that a mark is about, and where each was found."""
    return [
        (contest["ratios"][mark.against], contest["name"] + ", out=" * contest["out"])
        for contest in run["contests"]
        if contest["work"] == mark.key
        and contest["threads"] == threads
        and mark.against in contest["ratios"]
        and mark.out in (None, contest["out"])
        and (not mark.formats or contest["name"].split(",")[0] in mark.formats)
    ]


def _figures(mark: Mark, run: Run) -> list[tuple[list[float], str]]:
    """Quartiles of all figures that a mark is about, and the name of each."""
    return [
        (found["figures"], f"{found['name']}{'' if found.get('said', True) else ', SILENT'}")
        for found in run["figures"]
        if found["key"] == mark.key
    ]


def _judged(mark: Mark, threads: int, found: list[tuple[list[float], str]], run: Run) -> Verdict:
    if not found:
        return Verdict(mark, threads, _absence(mark, run), None)
    ordered = sorted(found, key=lambda each: each[0][1], reverse=not mark.against)
    (low, middle, high), where = ordered[0]
    unit = "x" if mark.against else _unit(mark, run)
    measured = f"{_short(middle)} {unit} [{_short(low)}, {_short(high)}] ({where})"
    if len(found) > 1:
        measured += f"; best {_short(ordered[-1][0][1])}"
    return Verdict(mark, threads, measured, _met(mark, middle) and "SILENT" not in where)


def _met(mark: Mark, middle: float) -> bool:
    if not mark.against:
        return middle <= mark.bound
    return middle > mark.bound if mark.ahead else middle >= mark.bound


def _absence(mark: Mark, run: Run) -> str:
    """Why nothing was measured."""
    why = [f"{each['peer']}: {each['why']}" for each in run["missing"]]
    about = [text for text in why if text.startswith(f"{mark.against}: ") and mark.against]
    return "; ".join(about) or "left out of this run"


def _unit(mark: Mark, run: Run) -> str:
    return next(str(found["unit"]) for found in run["figures"] if found["key"] == mark.key)


def _short(figure: float) -> str:
    """Three significant digits."""
    digits = f"{figure:.3g}"
    return f"{figure:.0f}" if "e" in digits else digits
