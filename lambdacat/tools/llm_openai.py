"""Models behind OpenAI's chat protocol, by the ``openai`` package: OpenAI's own, and all services that speak it."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any, Final, Literal, Self, Unpack, final
from urllib.parse import urlsplit

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar
from attrs import evolve

from lambdacat.bound import seconds_of
from lambdacat.context import Context
from lambdacat.fault import Unanswered
from lambdacat.tools.llm_costs import Meter, Price
from lambdacat.tools.llm_listening import Patience, payloads
from lambdacat.tools.llm_model import Model, Options
from lambdacat.tools.llm_refusals import Secret, needs, refusal
from lambdacat.tools.llm_values import Completion, Message, Prompt, ToolSchema, conversation

_HOME: Final = "https://api.openai.com/v1"
_NO_KEY: Final = "none"
_PATH: Final = "/chat/completions"


@final
class OpenAIClient(Model):
    """A model at any service that speaks OpenAI's chat protocol.

    It asks once: retries, limiters, breakers and deadlines around a step are the plan's. Its connections are kept while
    any request is under way, and inside ``async with client:``; after that none is open. Any number of event loops and
    threads may share it.

    ``base_url`` and ``api_key`` default to OPENAI_BASE_URL and OPENAI_API_KEY; with a ``base_url`` given here, that key
    stays at home. ``prices`` are what models cost. ``max_tokens`` is the longest answer where a request does not say,
    ``limit_as`` how the service calls that; ``options`` go into every request as they are. ``schema_as`` is how
    structured output is asked for: enforced by the service, or in words alone.
    Units: ``timeout`` in seconds, all that a request is waited for, piece by piece; None for ever.
    Errors: ``ImportError`` where the package is missing; ``ValueError`` on wrong numbers and where there is no key.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str | None = None,
        api_key: str | None = None,
        prices: Mapping[str, Price] | None = None,
        timeout: float | None = 60.0,
        max_tokens: int | None = None,
        limit_as: Literal["max_tokens", "max_completion_tokens"] = "max_tokens",
        schema_as: Literal["json_schema", "words"] = "json_schema",
        options: Mapping[str, Any] | None = None,
    ) -> None:
        at_home = base_url is None
        self._key = Secret(api_key or (os.environ.get("OPENAI_API_KEY", "") if at_home else ""))
        # Out of the frame, which tracebacks with locals show.
        del api_key
        self._who = str(model)
        needs("openai", "msgspec")
        if not isinstance(model, str) or not model:
            raise ValueError(f"a model has a name, not {model!r}")
        if max_tokens is not None and (type(max_tokens) is not int or max_tokens < 1):
            raise ValueError(f"max_tokens is a whole number of at least 1, not {max_tokens!r}")
        self._base_url = base_url or os.environ.get("OPENAI_BASE_URL") or _HOME
        where = urlsplit(self._base_url)
        if where.scheme not in ("http", "https") or not where.hostname:
            raise ValueError("base_url is an address such as http://127.0.0.1:8000/v1")
        if self._base_url == _HOME and not self._key.reveal():
            raise ValueError("there is no key: give api_key=, or set OPENAI_API_KEY")
        self._model = model
        self._who = f"{model} at {where.hostname}{f':{where.port}' if where.port else ''}"
        self._timeout = None if timeout is None else seconds_of(timeout)
        self._max_tokens = max_tokens
        self._limit_as = limit_as
        self._schema_as = schema_as
        self._options = dict(options or {})
        self._meter = Meter(model, prices)
        self._trust: Any = None
        self._held: RunVar[_Held | None] = RunVar("connections", None)

    @property
    def model(self) -> str:
        """The name of the model."""
        return self._model

    def __repr__(self) -> str:
        return f"OpenAIClient({self._who})"

    # --- asking ------------------------------------------------------------------------------------------------------

    async def complete(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> Completion:
        """One answer. Errors: those of an ``LLM``."""
        options = Options(tools=tools, max_tokens=max_tokens, temperature=temperature, context=context)
        return await self._completed(conversation(messages), {}, options)

    async def shaped(
        self, messages: tuple[Message, ...], schema: Mapping[str, Any], **options: Unpack[Options]
    ) -> Completion:
        """One answer that fits a JSON Schema, if the service can see to that; it can for objects alone."""
        extra: dict[str, Any] = {}
        if self._schema_as == "json_schema" and schema.get("type") == "object":
            named = {"name": "answer", "schema": schema}
            extra["response_format"] = {"type": "json_schema", "json_schema": named}
        return await self._completed(messages, extra, options)

    async def _completed(self, said: tuple[Message, ...], extra: Mapping[str, Any], options: Options) -> Completion:
        context, tools = options.get("context"), options.get("tools", ())
        most = options.get("max_tokens") or self._max_tokens
        body = {**self._body(said, tools, most, options.get("temperature")), **extra}
        with self._meter.opened(context, said, tools, most) as bill:
            async with self._connected() as client:
                from lambdacat.tools.llm_wire import completion

                sent = client.post(_PATH, cast_to=_response(), body=body)
                response = await self._patience().wait(self._asked(context, sent))
            bill.hear(response.text)
            answer, reported = completion(response.content, self._who)
            return evolve(answer, usage=bill.settle(reported, answer.text, *_calls(answer)))

    async def stream(
        self,
        messages: Prompt,
        *,
        tools: Sequence[ToolSchema] = (),
        max_tokens: int | None = None,
        temperature: float | None = None,
        context: Context | None = None,
    ) -> AsyncGenerator[str | Completion, None]:
        """The answer's text in chunks as they come, and at last the whole ``Completion``. Errors: those of an ``LLM``.

        A request that is left before its end costs what came of it, by characters.
        """
        said = conversation(messages)
        most = max_tokens or self._max_tokens
        body = self._body(said, tools, most, temperature)
        body |= {"stream": True, "stream_options": {"include_usage": True}}
        with self._meter.opened(context, said, tools, most) as bill:
            async with self._connected() as client, aclosing(self._events(client, body, context)) as events:
                from lambdacat.tools.llm_wire import Pieces

                pieces = Pieces(self._who)
                async for event in events:
                    text, beside = pieces.add(event)
                    bill.hear(text, beside)
                    if text:
                        if context is not None:
                            context.emit(text)
                        yield text
            if pieces.error is not None:
                raise Unanswered(self._who, self._key.kept_out_of(pieces.error))
            if pieces.finish is None:
                raise Unanswered(self._who, "the stream was cut before its end")
            answer = pieces.whole()
            answer = evolve(answer, usage=bill.settle(pieces.usage, answer.text, *_calls(answer)))
        yield answer

    async def _events(self, client: Any, body: object, context: Context | None) -> AsyncGenerator[bytes, None]:
        """The events of a stream. Law: its connection is free or closed when this ends, however it ends."""
        patience = self._patience()
        # The package's own reader of streams leaves generators behind that it has not closed; the response has none.
        sent = client.post(_PATH, cast_to=_response(), body=body, stream=True)
        response = await patience.wait(self._asked(context, sent))
        async with aclosing(payloads(response.aiter_bytes())) as events:
            while True:
                event = await patience.wait(self._asked(context, anext(events, None)))
                if event is None:
                    return
                yield event

    def _body(
        self, said: tuple[Message, ...], tools: Sequence[ToolSchema], most: int | None, temperature: float | None
    ) -> dict[str, Any]:
        body = {"model": self._model, "messages": [_sent(one) for one in said], **self._options}
        if tools:
            body["tools"] = list(tools)
        if most is not None:
            body[self._limit_as] = most
        if temperature is not None:
            body["temperature"] = temperature
        return body

    def _patience(self) -> Patience:
        return Patience(self._timeout, self._who)

    async def _asked(self, context: Context | None, waits: Awaitable[Any]) -> Any:
        """What the package gives; what it raises is said in this library's words."""
        from httpx2 import HTTPError
        from openai import OpenAIError

        try:
            return await waits
        except (OpenAIError, HTTPError, OSError, anyio.EndOfStream) as error:
            failure = refusal(error, self._who, self._key, time.time() if context is None else context.now())
        # Here and not above: an exception keeps the one it was raised from, which has the request, and that the key.
        raise failure

    # --- connections -------------------------------------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        await self._take()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._leave()

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[Any]:
        held = await self._take()
        try:
            yield held.client
        finally:
            await self._leave()

    async def _take(self) -> _Held:
        """The connections of this event loop, made where there are none; ``_leave`` gives them back."""
        if self._trust is None:
            # The first time takes a second, for which an event loop should not stand still.
            self._trust = await anyio.to_thread.run_sync(_loaded, self._base_url)
        held = self._held.get()
        if held is None:
            held = _Held(self._opened())
            self._held.set(held)
        held.users += 1
        return held

    async def _leave(self) -> None:
        held = self._held.get()
        assert held is not None
        held.users -= 1
        if not held.users:
            self._held.set(None)
            with anyio.CancelScope(shield=True):
                await held.client.close()

    def _opened(self) -> Any:
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        return AsyncOpenAI(
            base_url=self._base_url,
            api_key=self._key.reveal() or _NO_KEY,
            max_retries=0,
            timeout=None,
            # Prompts go where they are sent, and nowhere that a service points to.
            http_client=DefaultAsyncHttpxClient(verify=self._trust, timeout=None, follow_redirects=False),
        )


def _sent(message: Message) -> dict[str, Any]:
    """A message in the words of the protocol."""
    sent: dict[str, Any] = {"role": message.role, "content": message.content}
    if message.tool_calls:
        sent["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
    if message.tool_call_id is not None:
        sent["tool_call_id"] = message.tool_call_id
    return sent


def _calls(answer: Completion) -> tuple[str, ...]:
    return tuple(call.name + call.arguments for call in answer.tool_calls)


def _response() -> Any:
    from httpx2 import Response

    return Response


def _loaded(base_url: str) -> Any:
    """Which certificates count, once all that asking takes is loaded."""
    import openai  # noqa: F401

    import lambdacat.tools.llm_wire  # noqa: F401

    if base_url.startswith("https:"):
        from httpx2 import create_ssl_context

        return create_ssl_context()
    from ssl import PROTOCOL_TLS_CLIENT, SSLContext

    # Nothing is encrypted there; those of the system take a tenth of a second to read.
    return SSLContext(PROTOCOL_TLS_CLIENT)


class _Held:
    """The open connections of one event loop, and how many requests and ``async with`` use them."""

    __slots__ = ("client", "users")

    def __init__(self, client: Any) -> None:
        self.client = client
        self.users = 0
