"""For projects that test kernels with pytest: assertions that say what is wrong, Hypothesis strategies, a plugin.

`assert_mx_equal` compares codes, blocks or values bit for bit; `assert_within_bound` allows a dot product any order of
additions, and nothing else. `conformance.testing.strategies` makes inputs, `conformance.testing.plugin` runs the suite.
Needs the extra ``testing``.
"""

from __future__ import annotations

from typing import Any

__all__ = ["assert_mx_equal", "assert_within_bound"]


def __getattr__(name: str) -> Any:
    # pytest imports the plugin in every run, which must not cost an import of NumPy.
    if name in __all__:
        from conformance.testing import asserts

        return getattr(asserts, name)
    raise AttributeError(f"module 'conformance.testing' has no attribute {name!r}")
