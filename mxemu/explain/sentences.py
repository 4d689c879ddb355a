"""What an accumulation does, in a sentence that follows from its record."""

from __future__ import annotations

from mxemu.accumulation import (
    Accumulation,
    Chain,
    Fuse,
    Grade,
    Lanes,
    Late,
    NanWord,
    Nested,
    Node,
    OperandSubnormals,
    Parts,
    ProductExponent,
    Round,
    ScaleAt,
    Sum,
    Tree,
    ZeroSign,
    accumulator_of,
)
from mxemu.profile import Rounding

GRADES = {
    Grade.DEFINITION: "arithmetic by definition; names no unit",
    Grade.MEASURED: "compared with the unit, bit for bit, by tests/silicon",
    Grade.RECORDS: "agrees with published inputs and outputs of the unit; not run on it here",
    Grade.SIMULATOR: "agrees with a simulator that its authors compared with the unit; not run on it here",
    Grade.DOCUMENT: "from the maker's text or the source of the design; not run on it here",
    Grade.UNVERIFIED: "documents disagree, or nobody has looked",
}


def describe(record: Accumulation) -> str:
    """All of an accumulation's arithmetic but its NaN and the sign of its zeros, which `specials` says.

    Examples
    --------
    >>> from mxemu.accumulations import find
    >>> describe(find("nv-hopper"))
    'groups of 16 onto binary32 TOWARD_ZERO, 25 fraction bits kept, e >= -133; C aligned with the first group'
    >>> describe(find("block-fp32"))
    'runs of k (one exact sum, to binary32), their results one at a time onto binary32; starting from C'
    """
    parts = [*_operand_parts(record), *_product_parts(record), *_scale_parts(record)]
    parts += [_node_text(record.node), _c_text(record.node), *_end_parts(record)]
    return "; ".join(parts)


def specials(record: Accumulation) -> str:
    """Which NaN comes out, and which zero.

    Examples
    --------
    >>> from mxemu.accumulations import find
    >>> specials(find("nv-hopper"))
    'NaN 0x7FFFFFFF, zero +0'
    """
    words = {
        NanWord.QUIET: "0x7FC00000",
        NanWord.ALL_ONES: "0x7FFFFFFF",
        NanWord.NEGATIVE_QUIET: "0xFFC00000",
    }
    zeros = {
        ZeroSign.IEEE: "zeros signed as in IEEE 754",
        ZeroSign.POSITIVE: "zero +0",
        ZeroSign.SUM_POSITIVE: "a sum of zero +0, but what is rounded to zero keeps its sign",
    }
    return f"NaN {words[record.nan_word]}, {zeros[record.zero_sign]}"


def round_text(rounding: Round) -> str:
    """``binary32``, ``E8M13 TOWARD_ZERO``, ``binary32 flushed``: TIES_TO_EVEN goes without saying."""
    words = [rounding.format.name]
    if rounding.rounding is not Rounding.TIES_TO_EVEN:
        words.append(rounding.rounding.name)
    words += ["flushed"] * rounding.flush + ["stopping at the largest"] * rounding.stop_at_max
    return " ".join(words)


def rounds_text(step: Fuse) -> str:
    """The roundings of a sum, one after the other."""
    return ", then ".join(map(round_text, step.out)) or "an exact sum"


def _cut_text(step: Fuse) -> str:
    """What alignment keeps: ``, 25 fraction bits kept, e >= -133``; nothing where all is kept."""
    words = []
    if step.fraction_bits is not None:
        words.append(f"{step.fraction_bits} fraction bits kept")
    if step.quantum is not None:
        words.append(f"terms rounded to multiples of 2^{step.quantum}")
    if step.cuts and step.align is not Rounding.TOWARD_ZERO:
        words.append(f"by {step.align.name}")
    if step.carried_bits is not None:
        words.append(f"{step.carried_bits} of what is carried in")
    if step.floor is not None:
        words.append(f"e >= {step.floor}")
    if step.carried_reach is not None:
        words.append(f"what is carried in dropped if below e - {step.carried_reach}")
    if step.width is not None:
        beyond = "stopping at its ends" if step.saturate else "wrapping"
        words.append(f"register of {step.width} bits, {beyond}")
    return "".join(f", {word}" for word in words)


def _node_text(node: Node) -> str:
    """Which terms meet in which sum."""
    match node:
        case Sum():
            return _sum_text(node.step)
        case Chain():
            who = "one at a time" if node.length == 1 else f"groups of {node.length}"
            return f"{who}{_order_text(node)}{_first_text(node.terms)} onto {_step_text(node.step)}"
        case Tree():
            leaf = "" if node.leaf == 1 else f", down to chains of {node.leaf}"
            return (
                f"halves added to halves{leaf}{_first_text(node.terms)} in {_step_text(node.step)}"
            )
        case Nested():
            own = f"a tree of {node.count} terms written out"
            return f"{own}{_first_text(node.terms)}, in {_step_text(node.step)}"
        case Parts():
            length = "k" if node.length == 0 else str(node.length)
            inner, outer = _node_text(node.inner), _node_text(node.outer)
            return f"runs of {length} ({inner}){_scaled_text(node)}, their results {outer}"
        case Lanes():
            inner, outer = _node_text(node.inner), _node_text(node.outer)
            return f"{node.count} lanes, term i in lane i mod {node.count} ({inner}), the lanes {outer}"
        case Late():
            return f"{_node_text(node.inner)}, and C onto that in {_step_text(node.step)}"


def _sum_text(step: Fuse) -> str:
    if not step.cuts:
        rounded = ", then ".join(map(round_text, step.out))
        return "one exact sum" + (f", to {rounded}" if rounded else "")
    rounded = f" to {rounds_text(step)}" if step.out else ""
    return f"one sum{rounded}{_cut_text(step)}"


def _step_text(step: Fuse) -> str:
    return rounds_text(step) + _cut_text(step)


def _order_text(node: Chain) -> str:
    """The order of terms, where it is not their own."""
    if node.order in ((), tuple(range(len(node.order)))):
        return ""
    if len(node.order) <= 8:
        return f" in the order {' '.join(map(str, node.order))}"
    runs: list[list[int]] = []
    for index in node.order:
        if runs and index == runs[-1][-1] + 1:
            runs[-1].append(index)
        else:
            runs.append([index])
    start = ", ".join(f"{one[0]}-{one[-1]}" if len(one) > 1 else str(one[0]) for one in runs[:3])
    return f" in the order {start}, ..., {node.order[-1]} of each {len(node.order)}"


def _first_text(terms: Round | None) -> str:
    return "" if terms is None else f", each rounded to {round_text(terms)} first,"


def _scaled_text(node: Parts) -> str:
    """How the scales of a run enter after its sum."""
    if node.scale is None:
        return ""
    rounded = ", then ".join(map(round_text, node.scale))
    words = f", times fl(sa * sb) in {rounded}" if rounded else ", times sa * sb"
    return words + ("" if node.scaled is None else f", rounded to {round_text(node.scaled)}")


def _c_text(node: Node) -> str:
    """Where C enters."""
    runs = False
    while isinstance(node, (Parts, Lanes)):
        node, runs = node.outer, True
    what = "result" if runs else "term"
    match node:
        case Chain() if node.step.cuts:
            return f"C aligned with the first {'of them' if runs else 'group'}"
        case Chain():
            return "starting from C"
        case Sum():
            return f"C aligned with every {what}" if node.step.cuts else f"C is one more {what}"
        case Late():
            return "C last"
        case _:
            holds = isinstance(node, Nested) and node.holds_c
            return "C a leaf of the tree" if holds else "C last"


def _operand_parts(record: Accumulation) -> list[str]:
    parts = []
    match record.operand_subnormals:
        case OperandSubnormals.FLUSH:
            parts.append("subnormal operands are zero")
        case OperandSubnormals.FLUSH_POSITIVE:
            parts.append("subnormal operands are +0")
        case OperandSubnormals.KEEP:
            pass
    if record.scale_at is ScaleAt.OPERAND and record.operand_format is not None:
        parts.append(f"elements times scales rounded to {record.operand_format.name}")
    elif record.operand_format is not None:
        parts.append(f"operands as {record.operand_format.name}")
    return parts


def _product_parts(record: Accumulation) -> list[str]:
    parts = []
    if record.products is not None:
        parts.append(f"products rounded to {round_text(record.products)}")
    match record.product_exponent:
        case ProductExponent.NORMALISED:
            parts.append("products aligned by their leading bits")
        case ProductExponent.SCALE:
            parts.append("products aligned by their scales alone")
        case ProductExponent.SUM:
            pass
    if record.product_limit is not None:
        parts.append(f"a product of 2^{record.product_limit} or more is Inf")
    return parts


def _scale_parts(record: Accumulation) -> list[str]:
    parts = ["scale code 0 is zero"] if record.scale_zero_code else []
    return parts + (["signs of scales ignored"] if record.scale_unsigned else [])


def _end_parts(record: Accumulation) -> list[str]:
    parts = ["one rounding, at the end"] if accumulator_of(record) is None else []
    if record.tensor_scale is not None:
        parts.append(f"result times fl(ta * tb), in {round_text(record.tensor_scale)}")
    if record.rounding is not Rounding.TIES_TO_EVEN:
        parts.append(f"result rounded {record.rounding.name}")
    return parts
