"""The chat protocol: what is sent as JSON, and what of an answer is read, held against its shape."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from msgspec import DecodeError, Meta, Struct, ValidationError, convert, json

from lambdacat.tools.llm_refusals import message_of
from lambdacat.tools.llm_values import BadAnswer, Completion, ToolCall, Usage

T = TypeVar("T")
_SHOWN = 200


class _Function(Struct):
    name: str | None = None
    arguments: str | None = None


class _Call(Struct):
    id: str | None = None
    function: _Function | None = None
    index: int = 0


class _Said(Struct):
    content: str | None = None
    refusal: str | None = None
    tool_calls: list[_Call] | None = None


class _Choice(Struct):
    message: _Said
    finish_reason: str | None = None


class _Answer(Struct):
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    model: str | None = None
    usage: Any = None


class _Part(Struct):
    delta: _Said | None = None
    finish_reason: str | None = None


class _Chunk(Struct):
    choices: list[_Part] | None = None
    model: str | None = None
    usage: Any = None
    error: Any = None


class _Counted(Struct):
    prompt_tokens: Annotated[int, Meta(ge=0)]
    completion_tokens: Annotated[int, Meta(ge=0)] = 0


def _usage(raw: Any) -> Usage | None:
    """What a service reported; None where that is nothing that can be read, which costs nobody an answer."""
    try:
        found = convert(raw, _Counted)
    except ValidationError:
        return None
    return Usage(found.prompt_tokens, found.completion_tokens)


def _called(calls: list[_Call] | None) -> tuple[ToolCall, ...]:
    found = [(call.id or "", call.function) for call in calls or ()]
    return tuple(ToolCall(id, made.name or "", made.arguments or "{}") for id, made in found if made is not None)


def completion(body: bytes, model: str) -> tuple[Completion, Usage | None]:
    """A whole answer, and what it used if that was reported. Errors: ``BadAnswer``."""
    try:
        answer = json.decode(body, type=_Answer)
    except DecodeError as error:
        raise BadAnswer(f"{model} answered what is no completion: {error}", _shown(body)) from None
    choice, usage = answer.choices[0], _usage(answer.usage)
    said = choice.message
    text = said.content or said.refusal or ""
    finish = choice.finish_reason or ("refusal" if said.refusal else "stop")
    made = Completion(text, _called(said.tool_calls), usage or Usage(), answer.model or model, finish)
    return made, usage


def _shown(body: bytes) -> str:
    return body[:_SHOWN].decode(errors="backslashreplace")


class Pieces:
    """A completion that comes in pieces."""

    __slots__ = ("_calls", "_model", "_texts", "error", "finish", "usage")

    def __init__(self, model: str) -> None:
        self._model = model
        self._texts: list[str] = []
        self._calls: dict[int, _Call] = {}
        self.finish: str | None = None
        """Why it ended; None where it has not."""
        self.usage: Usage | None = None
        self.error: str | None = None
        """What the service said went wrong, in the middle of it."""

    def add(self, raw: bytes) -> tuple[str, int]:
        """The text of one more piece, and how many characters it has beside. Errors: ``BadAnswer``."""
        try:
            chunk = json.decode(raw, type=_Chunk)
        except DecodeError as error:
            raise BadAnswer(f"{self._model} streamed what is no completion: {error}", _shown(raw)) from None
        if chunk.error is not None:
            self.error = message_of(chunk.error) or "it does not say why"
        self._model = chunk.model or self._model
        self.usage = _usage(chunk.usage) or self.usage
        text, beside = "", 0
        for part in (chunk.choices or ())[:1]:
            self.finish = part.finish_reason or self.finish
            if part.delta is not None:
                text = part.delta.content or part.delta.refusal or ""
                beside = sum(map(self._call, part.delta.tool_calls or ()))
        self._texts.append(text)
        return text, beside

    def _call(self, piece: _Call) -> int:
        """Put a piece of a tool call where it belongs: the characters that it brought."""
        call = self._calls.setdefault(piece.index, _Call("", _Function("", "")))
        call.id = piece.id or call.id
        if piece.function is None or call.function is None:
            return 0
        name, more = piece.function.name or "", piece.function.arguments or ""
        call.function.name = (call.function.name or "") + name
        call.function.arguments = (call.function.arguments or "") + more
        return len(name) + len(more)

    def whole(self) -> Completion:
        """All of it."""
        calls = [self._calls[index] for index in sorted(self._calls)]
        text, usage = "".join(self._texts), self.usage or Usage()
        return Completion(text, _called(calls), usage, self._model, self.finish or "stop")


def schema_of(kind: Any) -> dict[str, Any]:
    """The JSON Schema of a type, its root spelt out. Errors: ``TypeError`` for what no JSON can be."""
    schema = json.schema(kind)
    if "$ref" in schema:
        # Services that enforce a schema want an object at its root, not a reference to one.
        reference, known = schema["$ref"], schema["$defs"]
        root = known[reference.rpartition("/")[2]]
        others = {name: one for name, one in known.items() if one is not root}
        again = reference in as_text(known)
        schema = root | ({"$defs": known if again else others} if again or others else {})
    return schema


def as_text(value: object) -> str:
    """A value as compact JSON."""
    return json.encode(value).decode()


def typed(text: str, kind: type[T]) -> T:
    """The value that a text is, with or without a fence around its JSON. Errors: ``BadAnswer`` that says where not."""
    inside = text.strip()
    if inside.startswith("```") and inside.endswith("```"):
        inside = inside[3:-3].partition("\n")[2] if "\n" in inside else inside[3:-3]
    try:
        return json.decode(inside, type=kind)
    except DecodeError as error:
        raise BadAnswer(str(error), text) from None
