"""What the tests of the example designs share: tools, designs with a seeded mistake, proofs of equivalence."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import pytest

from conformance.adapters.rtl import Design, Simulator, read

DESIGNS = Path(__file__).parent / "designs"

PARAMETERS = {
    "E4M3": {"EXP": 4, "MAN": 3, "SPECIAL": 1},
    "E5M2": {"EXP": 5, "MAN": 2, "SPECIAL": 2},
    "E3M2": {"EXP": 3, "MAN": 2, "SPECIAL": 0},
    "E2M3": {"EXP": 2, "MAN": 3, "SPECIAL": 0},
    "E2M1": {"EXP": 2, "MAN": 1, "SPECIAL": 0},
    "INT8": {"EXP": 0, "MAN": 7, "SPECIAL": 0},
}
"""What the example designs call a format."""


def need_yosys() -> None:
    """Skip where there is no Yosys; fail if all RTL tools are asked for."""
    if shutil.which("yosys") is None:
        reason = "Yosys is not installed here; install it with: apt-get install yosys"
        if os.environ.get("MXEMU_RTL") == "1":
            pytest.fail(reason)
        pytest.skip(reason)


def design(name: str, bug: int = 0, simulator: str = "icarus") -> Design:
    """An example design as a subject.

    Parameters
    ----------
    name : str
        Its port map without ending.
    bug : int
        The seeded mistake; 0 for none.
    simulator : str
    """
    port_map = read(DESIGNS / f"{name}.toml")
    operations = tuple(
        replace(one, parameters=MappingProxyType({**one.parameters, "BUG": bug}))
        for one in port_map.operations
    )
    port_map = replace(port_map, operations=operations)
    return Design(port_map, Simulator(port_map, simulator), simulator)


@dataclass(frozen=True)
class Miter:
    """A design and a golden module, to be compared for all inputs.

    Parameters
    ----------
    design : str
        Module of the design; its source has the same name.
    parameters : dict of str to int
    ports : dict of str to str
        Further inputs of the design and their constants, as Verilog has them.
    golden : str
        Text of the golden module, whose name is ``golden``.
    given, result : tuple of str and int
        Name and width of the input and the output, the same in both.
    """

    design: str
    parameters: dict[str, int]
    ports: dict[str, str]
    golden: str
    given: tuple[str, int]
    result: tuple[str, int]

    @property
    def text(self) -> str:
        """A module with one output that says whether both are equal."""
        (given, given_width), (result, result_width) = self.given, self.result
        parameters = ", ".join(f".{key}({value})" for key, value in self.parameters.items())
        ports = "".join(f".{key}({value}), " for key, value in self.ports.items())
        return (
            f"module miter (input wire [{given_width - 1}:0] given, output wire same,\n"
            f"    output wire [{result_width - 1}:0] dut, output wire [{result_width - 1}:0] gold);\n"
            f"{self.design} #({parameters}) design ({ports}.{given}(given), .{result}(dut));\n"
            f"golden golden (.{given}(given), .{result}(gold));\n"
            "assign same = dut == gold;\n"
            "endmodule\n"
        )


def difference(miter: Miter, folder: Path) -> dict[str, int] | None:
    """Prove with Yosys that both sides of a miter are equal for every input.

    Returns
    -------
    dict of str to int, or None
        None if they are; else an input ``given`` for which they differ, ``dut`` and ``gold``.
    """
    (folder / "golden.sv").write_text(miter.golden)
    (folder / "miter.sv").write_text(miter.text)
    source = DESIGNS / f"{miter.design}.sv"
    script = (
        f"read_verilog -sv {source} golden.sv miter.sv; hierarchy -check -top miter;"
        " proc; flatten; memory; opt -full; sat -prove same 1 -show given,dut,gold"
    )
    ended = subprocess.run(
        ["yosys", "-Q", "-p", script],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert ended.returncode == 0, ended.stderr
    if "SAT proof finished - no model found: SUCCESS!" in ended.stdout:
        return None
    assert "SAT proof finished - model found: FAIL!" in ended.stdout, ended.stdout[-2000:]
    # Name, decimal (or -- where it is too wide), hexadecimal, binary.
    found = re.findall(
        r"^ +\\(given|dut|gold) +\S+ +[0-9a-f]+ +([01]+)$", ended.stdout, re.MULTILINE
    )
    return {name: int(bits, 2) for name, bits in found}
