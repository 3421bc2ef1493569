"""Stopping for the world outside: questions, instants, and what becomes of a fork with branches that wait."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from attrs import evolve

from lambdacat.asking import Ask, SleepUntil, agreed
from lambdacat.fault import Question, Refused, Waiting
from lambdacat.machine.ops import FAIL, LEAVE, State
from lambdacat.machine.segment import Request
from lambdacat.machine.trail import Trail


class Asked(Request):
    """A question that needs its answer; nobody here has one."""

    __slots__ = ("node", "text")

    def __init__(self, node: Ask[Any, Any], text: str) -> None:
        self.node = node
        self.text = text

    def inside(self, value: Any, stack: Any) -> State:
        return FAIL, self.waiting(value, stack), stack

    def waiting(self, value: Any, stack: Any) -> Waiting:
        """The suspension of this question."""
        node = self.node
        site = Trail(stack, (), value, node)
        place = () if node.into is None else node.into.place
        question = Question(at=site.path(), text=self.text, into=place, key=site.key())
        return Waiting(questions=(question,), at=site, name=node.name, input=value)

    def answered(self, answer: Any, value: Any, stack: Any) -> State:
        """The state after ``answer``. Errors: ``ValueError`` when an approval is answered by neither yes nor no."""
        node = self.node
        if node.into is not None:
            return LEAVE, node.into.set(value, answer), stack
        if agreed(answer):
            return LEAVE, value, stack
        site = Trail(stack, (), value, node)
        return FAIL, Refused(by="the answer", reason=self.text, at=site, name=node.name, input=value), stack


class Until(Request):
    """A wait for an instant."""

    __slots__ = ("node", "seconds")

    def __init__(self, node: SleepUntil[Any, Any], seconds: float) -> None:
        self.node = node
        self.seconds = seconds
        """The instant. Units: seconds since 1970 in UTC."""

    def inside(self, value: Any, stack: Any) -> State:
        return LEAVE, value, stack


def enter_ask(node: Ask[Any, Any], value: Any, stack: Any) -> State:
    """The question, asked of whoever runs the plan."""
    return Asked(node, node.text(value)), value, stack


def enter_sleep_until(node: SleepUntil[Any, Any], value: Any, stack: Any) -> State:
    """The wait, asked of whoever runs the plan."""
    return Until(node, node.seconds(value)), value, stack


def suspended(held: Iterable[tuple[int, Waiting]]) -> Waiting:
    """The suspension of a fork of which only branches that wait are left, in written order."""
    first, *others = (waiting for _, waiting in sorted(held, key=lambda entry: entry[0]))
    return evolve(first, questions=(*first.questions, *(one for other in others for one in other.questions)))
