r"""Where every conforming result of a dot product lies, when order and precision are free (MX 6.1 and 6.2).

`bound` derives one interval in exact integers and fractions, `bounds` those of whole arrays in binary64, every step
rounded outwards. A `Freedom` says what an implementation may choose.

Notes
-----
*The bound.* Let x_1 ... x_n be the terms that are not zero, s their sum, X the sum of their magnitudes. A result comes
out of a tree whose nodes add what meets there. Adding a zero, or rounding a second time to the same format, changes
nothing, so only nodes in which two numbers or more meet count.

1. *Rounding.* A node multiplies its sum by 1 + d, |d| <= u: u is 2^-p for p bits and ties to even, 2^(1 - p)
   otherwise. A term that passes through c roundings comes out as x (1 + d_1) ... (1 + d_c), off by at most
   G(c) = (1 + u)^c - 1 times its magnitude. All roundings TOWARD_ZERO only shrink a term.
   Where all terms are multiples of some 2^g, and X is at most 2^(g + p), every sum is a number of the format: exact.
2. *Depth.* Which term goes how deep is free. In a tree of n terms, the j deepest have together at most the depth that
   they have in a chain, whose depths are n - 1, n - 1, n - 2, ..., 1. G is convex and grows, so the sums of the largest
   G are ordered in the same way (Tomic and Weyl), and with the largest term at the deepest place, sum(x_j G(c_j)) over
   the chain is the largest of all trees (Abel summation). Where the nodes are given, their own depths stand there.
   A term that shrinks loses no more than c u of itself, and not more than all. So the terms of one sign, taken alone
   with the deepest places, give another bound for what they lose; the smaller one counts.
3. *Small numbers.* Where all terms are multiples of the smallest subnormal, so are all sums, and subnormal ones are
   exact. Otherwise each rounding adds at most that unit, and the smallest normal number where subnormals are flushed.
4. *Alignment.* A node cuts each input to a multiple of 2^(e - F), e being the largest exponent that meets. With B a
   bound on every sum, e <= E = max(exponents of the terms, floor, log2 B), so a cut loses less than Q = 2^(E - F), and
   nothing of a multiple of Q. Cut TOWARD_ZERO, a term loses magnitude only, and no more than it has; cutting twice
   loses what the coarser cut loses. Any other way quanta grow by factors of 2, so all cuts of one number lose < 2 Q.
   The n terms and the n - 1 sums at most are cut.
5. *Together.* What a rounding or cut adds is multiplied by later roundings, by at most 1 + G(c). B is X and all of
   this. B holds for each sum by induction from the leaves on, as the proof of each node uses it for its inputs only.
6. *Operands.* Where an accumulation changes its operands (flushes subnormals, converts elements, takes a scale for
   another number), that does not depend on the order. So s and the terms are those after the change.
7. *Scales of runs.* Where scales multiply the sum of a run, the terms of a run are in any order, and so are the runs.
   The sum of a run lies in the interval [l, h] that 1 to 5 give for it alone. Multiplying by a number and rounding are
   monotone, so the scaled sum lies between what l and h become. Of the sum of all runs, s lies between the sums of
   these ends; what roundings move is at most sum(x_j G(c_j)) with the larger magnitude of both ends for each x, as that
   grows with every x. Scales of whole tensors move the ends of the result in the same way.
8. *The result* is a number of the accumulator's format: the ends move inwards to its numbers, and then, where results
   have another format, outwards to numbers of that.

If B leaves the range of the accumulator, Inf and NaN are possible, and the interval is everything.
"""

from __future__ import annotations

from conformance.bound.arrays import Bounds, bounds, summary
from conformance.bound.freedom import Freedom, any_order, permuted, truncating
from conformance.bound.one import Interval, bound, hull

__all__ = [
    "Bounds",
    "Freedom",
    "Interval",
    "any_order",
    "bound",
    "bounds",
    "hull",
    "permuted",
    "summary",
    "truncating",
]
