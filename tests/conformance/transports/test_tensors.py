"""Adapters of tensors: the same bits go in and come out, without copies through lists."""

from __future__ import annotations

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from conformance.adapter import capabilities_of
from conformance.adapters.tensors import TensorAdapter, jax_adapter, torch_adapter, wrapped
from conformance.arrays import BITS_DTYPES, VALUE_DTYPES
from conformance.runner import Filters, Run, check
from conformance.target import load
from conformance.worker import InProcess
from mxemu.errors import MxemuError, Unsupported
from mxemu.profile import OCP

OFFER = {"formats": ["E4M3"], "carriers": ["binary32"]}


def subject(**functions: Any) -> SimpleNamespace:
    """An adapter of tensors with these functions."""
    record = {"operations": dict.fromkeys(functions, OFFER)}
    return SimpleNamespace(name="mine", version="1", capabilities=record, **functions)


@pytest.fixture
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="torch is not installed")


@pytest.fixture
def jax() -> ModuleType:
    return pytest.importorskip("jax", reason="jax is not installed")


def patterns(carrier: str) -> np.ndarray:
    """Every exponent, both signs, NaN with a payload and Inf."""
    bits = np.arange(0, 1 << 16, 97, dtype=np.uint64)
    width = 8 * np.dtype(BITS_DTYPES[carrier]).itemsize
    wide = (bits << np.uint64(width - 16)) | np.uint64(1)
    return wide.astype(BITS_DTYPES[carrier]).view(VALUE_DTYPES[carrier])


@pytest.mark.parametrize("carrier", ["binary64", "binary32", "binary16", "bfloat16"])
def test_bits_are_kept_both_ways(torch: ModuleType, carrier: str) -> None:
    seen: list[Any] = []

    def encode(values: Any, element: str) -> Any:
        seen.append(values)
        return values

    given = patterns(carrier)
    found = torch_adapter(subject(encode=encode)).encode(given, "E4M3")
    dtypes = {"binary64": torch.float64, "binary32": torch.float32, "binary16": torch.float16}
    assert seen[0].dtype is dtypes.get(carrier, torch.bfloat16)
    assert (found.view(BITS_DTYPES[carrier]) == given.view(BITS_DTYPES[carrier])).all()


def test_the_memory_is_the_same(torch: ModuleType) -> None:
    given = np.zeros(4, dtype=np.float32)

    def encode(values: Any, element: str) -> Any:
        values += 1
        return values

    found = torch_adapter(subject(encode=encode)).encode(given, "E4M3")
    assert np.shares_memory(found, given)
    assert given.tolist() == [1.0] * 4


def test_what_cannot_be_lent_is_copied(torch: ModuleType) -> None:
    given = np.zeros(4, dtype=np.float32)
    given.flags.writeable = False
    adapter = torch_adapter(subject(encode=lambda values, element: values.add_(1)))
    assert adapter.encode(given, "E4M3").tolist() == [1.0] * 4
    assert given.tolist() == [0.0] * 4


def test_codes_go_in_as_integers_and_8_bit_floats_come_out_as_codes(torch: ModuleType) -> None:
    def dequantize(scales: Any, codes: Any, block_format: str) -> Any:
        assert (scales.dtype, codes.dtype) == (torch.uint16, torch.uint8)
        return codes.view(torch.float8_e4m3fn)

    adapter = torch_adapter(subject(dequantize=dequantize))
    codes = np.arange(256, dtype=np.uint8).reshape(8, 32)
    found = adapter.dequantize(np.zeros(8, np.uint16), codes, "MXFP8_E4M3")
    assert found.dtype == np.uint8
    assert (found == codes).all()


def test_results_in_a_tuple_none_and_other_arguments_pass(torch: ModuleType) -> None:
    def dot(sa: Any, a: Any, sb: Any, b: Any, c: Any, formats: Any) -> Any:
        assert sa is None
        assert c is None
        assert formats == ("E4M3", "E4M3")
        return (a.to(torch.int32) + b.to(torch.int32)).sum(dim=1)

    a = np.ones((3, 32), dtype=np.uint8)
    adapter = torch_adapter(subject(dot=dot))
    assert adapter.dot(None, a, None, a, None, ("E4M3", "E4M3"), "exact").tolist() == [64] * 3


def test_packed_codes_are_refused_in_words(torch: ModuleType) -> None:
    if not hasattr(torch, "float4_e2m1fn_x2"):
        pytest.skip("this torch has no float4_e2m1fn_x2")
    packed = torch.zeros(4, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    adapter = torch_adapter(subject(encode=lambda values, element: packed))
    with pytest.raises(MxemuError, match="two codes a byte; expected one in each item"):
        adapter.encode(np.zeros(4, np.float32), "E4M3")


def test_a_cast_of_torch_is_checked(torch: ModuleType) -> None:
    def encode(values: Any, element: str) -> Any:
        return values.to(torch.float8_e4m3fn)

    def decode(codes: Any, element: str) -> Any:
        return codes.view(torch.float8_e4m3fn).to(torch.float32)

    worker = InProcess(torch_adapter(subject(encode=encode, decode=decode)))
    run = check(worker, Run("torch", worker.introduce(), "smoke", None), Filters())
    found = {group.operation: group.verdict for group in run.groups if group.carrier != "any"}
    assert found["decode"] == "pass"
    assert found["encode"] in ("pass", "free")


def test_a_class_can_be_decorated(torch: ModuleType) -> None:
    @torch_adapter
    class Mine:
        name, version = "mine", "1"

        def __init__(self) -> None:
            self.capabilities = {"operations": {"encode": OFFER}, "variants": ["one"]}

        def encode(self, values: Any, element: str) -> Any:
            return values.to(torch.int32)

        def variant(self, name: str) -> Any:
            return type(self)()

    assert capabilities_of(Mine).operations["encode"].formats == ("E4M3",)
    other = Mine.variant("one")
    assert isinstance(other, TensorAdapter)
    assert other.encode(np.ones(2, np.float32), "E4M3").tolist() == [1, 1]


def test_a_file_says_what_it_takes(torch: ModuleType, tmp_path: Any) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        'name, version, tensors = "mine", "1", "torch"\n'
        f"capabilities = {{'operations': {{'encode': {OFFER}}}}}\n"
        "def encode(values, element):\n    return values.int()\n",
        encoding="utf-8",
    )
    assert isinstance(load(str(path)), TensorAdapter)


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_is_not_there(torch: ModuleType, device: str) -> None:
    with pytest.raises(MxemuError, match=f"device '{device}'"):
        torch_adapter(subject(), device)


def test_on_a_gpu(torch: ModuleType) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no GPU that torch can use")
    given = patterns("bfloat16")

    def encode(values: Any, element: str) -> Any:
        assert values.is_cuda
        assert values.dtype is torch.bfloat16
        return values

    found = torch_adapter(subject(encode=encode), "cuda").encode(given, "E4M3")
    assert (found == given).all()


@pytest.mark.parametrize("carrier", ["binary32", "binary16", "bfloat16"])
def test_jax_keeps_bits_both_ways(jax: ModuleType, carrier: str) -> None:
    seen: list[Any] = []

    def encode(values: Any, element: str) -> Any:
        seen.append(values)
        return values

    given = patterns(carrier)
    found = jax_adapter(subject(encode=encode)).encode(given, "E4M3")
    names = {"binary32": "float32", "binary16": "float16", "bfloat16": "bfloat16"}
    assert seen[0].dtype.name == names[carrier]
    assert (found.view(BITS_DTYPES[carrier]) == given.view(BITS_DTYPES[carrier])).all()


def test_jax_gives_8_bit_floats_as_codes(jax: ModuleType) -> None:
    def encode(values: Any, element: str) -> Any:
        return values.astype("float8_e4m3fn")

    found = jax_adapter(subject(encode=encode)).encode(np.array([1.0, -2.0], np.float32), "E4M3")
    assert (found.dtype, found.tolist()) == (np.uint8, [0x38, 0xC0])


def test_jax_without_64_bits_is_unsupported(jax: ModuleType) -> None:
    adapter = jax_adapter(subject(encode=lambda values, element: values))
    with pytest.raises(Unsupported, match="needs jax_enable_x64"):
        adapter.encode(np.zeros(2), "E4M3", OCP)


@pytest.mark.parametrize("said", ["tensorflow", 7, ""])
def test_other_libraries_are_refused(said: object) -> None:
    words = "expected 'torch'" if said == 7 else "unknown library of tensors"
    with pytest.raises(MxemuError, match=words):
        wrapped(SimpleNamespace(tensors=said))


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MxemuError, match="the adapter takes tensors of torch") as caught:
        torch_adapter(subject())
    assert "mxemu[torch]" in caught.value.hint
