"""Numbers as words and back, inside kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import types
from numba.extending import intrinsic


def _same_bits(given: Any, wanted: Any) -> Callable[[Any, Any], Any]:
    """An operation from numbers of one type to those of another with the same bits."""

    def typed(_typing: Any, _number: Any) -> Any:
        def generate(context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
            return builder.bitcast(arguments[0], context.get_value_type(wanted))

        return wanted(given), generate

    return typed


word_of: Any = intrinsic(_same_bits(types.float64, types.int64))
number_of: Any = intrinsic(_same_bits(types.int64, types.float64))
short_word_of: Any = intrinsic(_same_bits(types.float32, types.uint32))
