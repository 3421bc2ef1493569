"""What goes to a language model and what comes back, as values that a journal can keep; and how asking can fail."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypeAlias, final

from attrs import Attribute, field, frozen
from attrs.validators import deep_iterable, in_, instance_of, optional

Role: TypeAlias = Literal["system", "user", "assistant", "tool"]
_text = instance_of(str)


def _row(calls: Iterable[ToolCall]) -> tuple[ToolCall, ...]:
    return tuple(calls)


def _count(_: object, attribute: Attribute[int], value: Any) -> None:
    if type(value) is not int or value < 0:
        raise ValueError(f"{attribute.name} counts tokens: a whole number that is not negative, not {value!r}")


@final
@frozen
class ToolCall:
    """A tool that a model wants called; ``arguments`` is JSON text as the model wrote it, which may be wrong."""

    id: str = field(validator=_text)
    name: str = field(validator=_text)
    arguments: str = field(default="{}", validator=_text)

    def parsed(self) -> dict[str, Any]:
        """The arguments by name. Errors: ``BadAnswer`` where they are no JSON object."""
        import json

        try:
            found = json.loads(self.arguments or "{}")
        except ValueError as error:
            raise BadAnswer(f"the arguments of {self.name} are no JSON: {error}", self.arguments) from None
        if not isinstance(found, dict):
            raise BadAnswer(f"the arguments of {self.name} are no JSON object", self.arguments)
        return found

    def answered(self, content: str) -> Message:
        """The message that tells the model what the tool gave."""
        return Message("tool", content, tool_call_id=self.id)


@final
@frozen
class Message:
    """One turn of a conversation. Only what the assistant said has tool calls; only a tool's answer has their id."""

    role: Role = field(validator=in_(("system", "user", "assistant", "tool")))
    content: str = field(default="", validator=_text)
    tool_calls: tuple[ToolCall, ...] = field(default=(), validator=deep_iterable(instance_of(ToolCall)), converter=_row)
    tool_call_id: str | None = field(default=None, validator=optional(_text), kw_only=True)

    def __attrs_post_init__(self) -> None:
        if self.tool_calls and self.role != "assistant":
            raise ValueError(f"the assistant calls tools, not the {self.role}")
        if (self.tool_call_id is not None) is not (self.role == "tool"):
            raise ValueError("a tool's answer has the id of the call, and nothing else has: use call.answered(...)")


@final
@frozen
class Usage:
    """How many tokens went in and came out."""

    prompt: int = field(default=0, validator=_count)
    completion: int = field(default=0, validator=_count)

    @property
    def total(self) -> int:
        """Both."""
        return self.prompt + self.completion


@final
@frozen
class Completion:
    """What a model answered. ``finish`` is the service's own word for why it ended: ``stop``, ``length``, ..."""

    text: str = field(default="", validator=_text)
    tool_calls: tuple[ToolCall, ...] = field(default=(), validator=deep_iterable(instance_of(ToolCall)), converter=_row)
    usage: Usage = field(default=Usage(), validator=instance_of(Usage))
    """As the service reported it; where it reported none, characters / 4."""
    model: str = field(default="", validator=_text)
    finish: str = field(default="stop", validator=_text)

    @property
    def message(self) -> Message:
        """The turn that it is in the conversation."""
        return Message("assistant", self.text, self.tool_calls)


Prompt: TypeAlias = str | Message | Iterable[Message]
"""A conversation; a text alone is what the user says."""
ToolSchema: TypeAlias = Mapping[str, Any]
"""A tool in the form that OpenAI's chat API takes: ``{"type": "function", "function": {...}}``."""


def conversation(prompt: Prompt) -> tuple[Message, ...]:
    """The messages of a prompt. Errors: ``TypeError``."""
    if isinstance(prompt, str):
        return (Message("user", prompt),)
    row = (prompt,) if isinstance(prompt, Message) else tuple(prompt) if isinstance(prompt, Iterable) else (prompt,)
    for one in row:
        if not isinstance(one, Message):
            raise TypeError(f"a prompt is a text, a Message or a row of them, not {one!r}")
    if not row:
        raise ValueError("a prompt has at least one message")
    return row


def tokens_of(*texts: str) -> int:
    """About how many tokens texts are: characters / 4, rounded up. More than that where letters are not Latin."""
    return -(-sum(map(len, texts)) // 4)


def prompt_tokens(messages: Sequence[Message], tools: Sequence[ToolSchema] = ()) -> int:
    """About how many tokens a request is: all that a model reads, tools included."""
    import json

    said = [text for one in messages for text in (one.content, *(c.name + c.arguments for c in one.tool_calls))]
    return tokens_of(*said, *(json.dumps(tool, ensure_ascii=False, separators=(",", ":")) for tool in tools))


# --- how asking can fail ---------------------------------------------------------------------------------------------


class ModelError(Exception):
    """A model's service answered, and not as it should; ``ModelBusy``, ``ModelRefused`` and ``BadAnswer`` say how.

    What did not answer at all is ``Unanswered``, which becomes the fault ``Unavailable``.
    """


class ModelBusy(ModelError):
    """A service that wants to be left alone for now.

    Units: ``retry_after`` in seconds, 0 where it did not say; ``retry`` waits that long at least, and an adaptive
    ``Concurrency`` gives way.
    """

    def __init__(self, text: str, *, retry_after: float = 0.0, status: int | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
        self.status = status


class ModelRefused(ModelError):
    """A service that will not do it: a wrong key, model or request, or no quota left. Asking again would not help."""

    def __init__(self, text: str, *, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status


class BadAnswer(ModelError):
    """An answer that is not what was asked for: no JSON, not the protocol, not the type. ``answer`` is what came."""

    def __init__(self, text: str, answer: str = "") -> None:
        super().__init__(text)
        self.answer = answer
