"""Commands: every operation goes over the lines, and whatever a process does wrong is a clear verdict."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from conformance.adapters.command import Command, hex_lines, hex_text, json_request
from conformance.adapters.exchange import Call, Slot
from conformance.runner import Filters, Run, check
from conformance.verdict import Group
from conformance.worker import InProcess, Worker
from mxemu.cli import cli
from mxemu.errors import MxemuError
from mxemu.profile import OCP

SUBJECTS = Path(__file__).parent / "subjects"
CASES = 1264


def target(name: str, *words: str) -> str:
    return " ".join([f"cmd:{sys.executable}", str(SUBJECTS / name), *words])


def mxemu(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["check", *arguments, "--level", "smoke"])


def checked(where: str, timeout: float = 30) -> Run:
    worker = Worker(where, timeout)
    try:
        return check(worker, Run(where, worker.introduce(), "smoke", None), Filters())
    finally:
        worker.close()


def faulty(*words: str) -> Group:
    """The first group of a faulty process; it stands alone, so no worker is needed to hold it."""
    where = target("faulty.py", *words)
    subject = InProcess(where)
    return check(subject, Run(where, subject.introduce(), "smoke", None), Filters()).groups[0]


def test_a_worker_passes_on_how_a_process_ended() -> None:
    group = checked(target("faulty.py", "ends")).groups[0]
    assert (group.verdict, group.reason) == ("crash", "ended with exit status 3")
    assert group.log.splitlines()[-1] == "out of paper"


def test_every_operation_goes_over_json() -> None:
    run = checked(target("reference_json.py"))
    found = {(group.operation, group.verdict) for group in run.groups}
    assert found == {
        (name, "pass")
        for name in (
            "encode",
            "decode",
            "encode-scaled",
            "quantize",
            "dequantize",
            "fake_quantize",
            "dot",
            "dot-general",
            "matmul",
        )
    }


def test_every_operation_that_has_rows_goes_over_hex() -> None:
    run = checked(target("reference_hex.py"))
    assert {group.verdict for group in run.groups} == {"pass"}
    assert len({group.operation for group in run.groups}) == 6


CRASHES = {
    "garbage": "gave 'Traceback (most recent call last):'; expected a JSON object",
    "wrong-id": "gave the id 2; expected 1, in order",
    "too-few": "gave 1 codes; expected 500",
    "no-array": "gave no array 'codes', but 'code'",
    "nothing": "gave '{\"id\": 1}'; expected arrays, unsupported or error",
    "no-hex": "gave '0g' in codes; expected a hex number",
    "error": "gave an error: the table is empty",
    "ends": "ended with exit status 3",
    "dies": "died of signal 6 (SIGABRT)",
    "silent": "gave no answer within 0.5 s",
    "closes": "closed its output",
    "talks": "gave a line that nobody asked for: 'and one more thing'",
    "early": "gave a line that nobody asked for: 'ready'",
}


@pytest.mark.parametrize("mode", CRASHES)
def test_a_broken_process_is_a_crash_in_words(mode: str) -> None:
    group = faulty(mode)
    assert (group.verdict, group.reason) == ("crash", CRASHES[mode])
    assert group.counts["crash"] == CASES


HEX_CRASHES = {
    "too-few": "gave 0 numbers in line 1: ''; expected 1",
    "too-many": "gave 2 numbers in line 1: '00 00'; expected 1",
    "no-hex": "gave 'zero' in codes; expected a hex number",
    "silent": "gave no answer within 0.5 s",
    "dies": "died of signal 6 (SIGABRT) after 1 of 500 lines",
}


@pytest.mark.parametrize("mode", HEX_CRASHES)
def test_a_broken_process_that_speaks_hex(mode: str) -> None:
    group = faulty(mode, "hex")
    assert (group.verdict, group.reason) == ("crash", HEX_CRASHES[mode])


def test_what_a_process_wrote_to_standard_error_is_shown() -> None:
    assert faulty("ends").log.splitlines()[-1] == "out of paper"
    assert faulty("silent").log.splitlines() == ["starting", "thinking"]


def test_the_input_on_which_a_process_dies_is_found() -> None:
    (cluster,) = faulty("dies").clusters
    assert (cluster.verdict, cluster.first.dut.hex) == ("crash", "died")


def test_an_error_of_one_line_is_a_crash_of_that_input_alone() -> None:
    group = faulty("error", "hex")
    assert (group.counts["crash"], group.reason) == (1, "gave an error: six is too much")


@pytest.mark.parametrize("encoding", ["json", "hex"])
def test_unsupported_is_no_crash(encoding: str) -> None:
    group = faulty("unsupported", encoding)
    assert (group.verdict, group.reason) == ("unsupported", "no table for this")


@pytest.mark.parametrize("encoding", ["json", "hex"])
def test_refusals_arrive(encoding: str) -> None:
    group = faulty("refuses", encoding)
    assert group.clusters[0].first.dut.hex == "refused"
    assert group.open_hypothesis is not None
    assert group.counts["crash"] == 0


def test_a_code_too_large_for_any_format_is_a_wrong_result() -> None:
    group = faulty("wide", "hex")
    assert group.verdict == "FAIL"
    assert group.clusters[0].first.dut.value == "no code of E2M1"


def test_the_variant_is_in_the_environment() -> None:
    for variant, code in (("left", 1), ("right", 2)):
        subject = Command(target("faulty.py", "variant").removeprefix("cmd:"), variant)
        values = np.zeros(3, dtype=np.float32)
        assert subject.encode(values, "E2M1", OCP).tolist() == [code] * 3
        subject.close()
    result = mxemu(target("faulty.py", "variant") + "[up]")
    assert (result.exit_code, "unknown variant of faulty 'up'" in result.output) == (2, True)


LOADS = {
    "no-line": "ended with exit status 1 before its first line\nhint: starting\ncannot find my table",
    "no-json": "the first line is 'hello'; expected a JSON object",
    "list": "the first line is '[1]'; expected a JSON object",
    "old-protocol": "protocol 0; expected 1",
    "no-name": "name is ''; expected a text",
    "no-capabilities": "capabilities are missing",
    "binary": "encoding 'binary'; expected json or hex",
    "no-batch": "batch is 0; expected a number above 0",
    "unknown-format": "unknown element format 'E4M4'; did you mean E4M3",
}


@pytest.mark.parametrize("mode", LOADS)
def test_a_wrong_first_line_is_refused(mode: str) -> None:
    result = mxemu(target("faulty.py", mode))
    assert result.exit_code == 2
    assert LOADS[mode] in result.output


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("cmd:./no-such-program --now", "cannot start ./no-such-program: No such file"),
        ("cmd:", "names no command"),
        ("cmd:'open", "No closing quotation; expected a command line"),
    ],
)
def test_no_such_command(where: str, words: str) -> None:
    result = mxemu(where)
    assert (result.exit_code, words in result.output) == (2, True), result.output


def test_a_process_is_started_again_after_it_died() -> None:
    subject = InProcess(target("faulty.py", "ends"))
    values = np.zeros(500, dtype=np.float32)
    kinds = [subject.call("encode", (values,), ("E2M1", OCP)).kind for _ in range(4)]
    assert kinds == ["ok", "died", "ok", "died"]


def test_the_call_as_a_whole_has_its_limit_too() -> None:
    worker = Worker(target("faulty.py", "silent"), timeout=0.2)
    worker.introduce()
    outcome = worker.call("encode", (np.zeros(1, dtype=np.float32),), ("E2M1", OCP))
    worker.close()
    assert (outcome.kind, outcome.message) == ("hung", "gave no answer within 0.2 s")


def asked(**inputs: np.ndarray) -> Call:
    slot = Slot("codes", (2,), np.dtype(np.uint8), is_codes=True)
    return Call("encode-scaled", "MXFP4_E2M1", "bfloat16", inputs, (slot,), OCP)


def test_a_request_in_json() -> None:
    values = np.array([0x3F80, 0xC000], dtype=np.uint16)
    request = json_request(7, asked(values=values, scales=np.array([127, 1], dtype=np.uint8)))
    profile = request.pop("profile")
    assert json.loads(json.dumps(request)) == {
        "id": 7,
        "operation": "encode-scaled",
        "format": "MXFP4_E2M1",
        "carrier": "bfloat16",
        "shapes": {"values": [2], "scales": [2]},
        "arrays": {"values": "3f80 c000", "scales": "7f 01"},
    }
    assert (profile["name"], profile["rounding"]) == ("ocp", "ties-to-even")
    assert json.loads(json.dumps(profile)) == profile


def test_a_request_in_hex() -> None:
    values = np.array([0x3F80, 0xC000], dtype=np.uint16)
    lines = list(hex_lines(asked(values=values, scales=np.array([127, 1], dtype=np.uint8))))
    head = "encode-scaled MXFP4_E2M1 bfloat16 ties-to-even,saturate"
    assert lines == [f"{head} 7f 3f80", f"{head} 01 c000"]


def test_numbers_keep_their_zeros() -> None:
    assert hex_text(np.array([1, 0x10], dtype=np.uint32)) == "00000001 00000010"


def test_a_report_of_the_command_line(hex_program: Path) -> None:
    result = mxemu(f"cmd:{hex_program}", "--output-format", "json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["verdict"], report["subject"]["name"]) == (1, "FAIL", "seeded")


def test_a_command_offers_no_matrix_product_in_hex() -> None:
    call = Call("matmul", "MXFP4_E2M1", "binary32", {}, (), splits=False)
    with pytest.raises(MxemuError, match="expected the encoding json"):
        next(hex_lines(call))
