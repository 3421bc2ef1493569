"""Outcomes as values that compare by what happened, not by which exception object says so or where it stands."""

from __future__ import annotations

from typing import Any

from returns.result import Failure, Success

from lambdacat.fault import ActionFailed, AllFailed, LoopLimit, MergeConflict, NoBranch, Stopped, TooFew, _Faulted


def blurred(value: Any) -> Any:
    """The outcome, fault or tuple with every fault reduced to its kind and what it says."""
    match value:
        case Success(inner):
            return ("success", blurred(inner))
        case Failure(inner):
            return ("failure", blurred(inner))
        case ActionFailed(error=error):
            return ("ActionFailed", type(error).__name__, str(error))
        case Stopped(reason=reason):
            return ("Stopped", reason)
        case LoopLimit(at_most=at_most, value=reached):
            return ("LoopLimit", at_most, reached)
        case MergeConflict(path=path):
            return ("MergeConflict", path)
        case AllFailed(faults=faults):
            return ("AllFailed", blurred(faults))
        case TooFew(wanted=wanted, results=results, faults=faults):
            return ("TooFew", wanted, results, blurred(faults))
        case NoBranch(key=key):
            return ("NoBranch", key)
        case _Faulted():
            return (type(value).__name__,)
        case tuple() if not hasattr(value, "_fields"):
            return tuple(blurred(one) for one in value)
        case _:
            return value
