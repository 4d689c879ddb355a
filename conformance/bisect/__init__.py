"""The first step of an operation at which a subject differs, found by asking it: nothing is known of its inside."""

from conformance.bisect.drive import Bisection, Difference, Step, bisect, has_steps
from conformance.bisect.questions import STEPS, Question

__all__ = ["STEPS", "Bisection", "Difference", "Question", "Step", "bisect", "has_steps"]
