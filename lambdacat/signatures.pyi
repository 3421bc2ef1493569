"""The types of ``task``: which actions fit which lenses. Read by type checkers only; ``lambdacat.leaf`` runs."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar, Unpack, overload

from lambdacat.context import Context
from lambdacat.leaf import TaskOptions
from lambdacat.optics import Lens
from lambdacat.plan import Task

A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
D = TypeVar("D")
E = TypeVar("E")
S = TypeVar("S")
V = TypeVar("V")
W = TypeVar("W")
X = TypeVar("X")

class _Whole(Protocol):
    """What ``task`` returns before it has seen an action on the whole value."""

    @overload
    def __call__(
        self, action: Callable[[A], Coroutine[Any, Any, B]], /
    ) -> Task[A, B, Callable[[A], Coroutine[Any, Any, B]]]: ...
    @overload
    def __call__(self, action: Callable[[A], Awaitable[B]], /) -> Task[A, B, Callable[[A], Awaitable[B]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A], AsyncGenerator[B]], /
    ) -> Task[A, tuple[B, ...], Callable[[A], AsyncGenerator[B]]]: ...
    @overload
    def __call__(self, action: Callable[[A], B], /) -> Task[A, B, Callable[[A], B]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, Context], Coroutine[Any, Any, B]], /
    ) -> Task[A, B, Callable[[A, Context], Coroutine[Any, Any, B]]]: ...
    @overload
    def __call__(self, action: Callable[[A, Context], B], /) -> Task[A, B, Callable[[A, Context], B]]: ...

# Checkers quote the first (mypy) or last (pyright) overload: both are without Context, and take a plain function.
class _Reads0(Protocol[S, W]):
    @overload
    def __call__(self, action: Callable[[], W], /) -> Task[S, S, Callable[[], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[Context], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[Context], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(self, action: Callable[[Context], W], /) -> Task[S, S, Callable[[Context], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[], W | Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[], W | Coroutine[Any, Any, W]]]: ...

class _Reads1(Protocol[S, A, W]):
    @overload
    def __call__(self, action: Callable[[A], W], /) -> Task[S, S, Callable[[A], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, Context], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, Context], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(self, action: Callable[[A, Context], W], /) -> Task[S, S, Callable[[A, Context], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A], W | Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A], W | Coroutine[Any, Any, W]]]: ...

class _Reads2(Protocol[S, A, B, W]):
    @overload
    def __call__(self, action: Callable[[A, B], W], /) -> Task[S, S, Callable[[A, B], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, Context], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, Context], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(self, action: Callable[[A, B, Context], W], /) -> Task[S, S, Callable[[A, B, Context], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B], W | Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B], W | Coroutine[Any, Any, W]]]: ...

class _Reads3(Protocol[S, A, B, C, W]):
    @overload
    def __call__(self, action: Callable[[A, B, C], W], /) -> Task[S, S, Callable[[A, B, C], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, Context], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, Context], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(self, action: Callable[[A, B, C, Context], W], /) -> Task[S, S, Callable[[A, B, C, Context], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C], W | Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C], W | Coroutine[Any, Any, W]]]: ...

class _Reads4(Protocol[S, A, B, C, D, W]):
    @overload
    def __call__(self, action: Callable[[A, B, C, D], W], /) -> Task[S, S, Callable[[A, B, C, D], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, D], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D, Context], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, D, Context], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D, Context], W], /
    ) -> Task[S, S, Callable[[A, B, C, D, Context], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D], W | Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, D], W | Coroutine[Any, Any, W]]]: ...

class _Reads5(Protocol[S, A, B, C, D, E, W]):
    @overload
    def __call__(self, action: Callable[[A, B, C, D, E], W], /) -> Task[S, S, Callable[[A, B, C, D, E], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D, E], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, D, E], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D, E, Context], Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, D, E, Context], Coroutine[Any, Any, W]]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D, E, Context], W], /
    ) -> Task[S, S, Callable[[A, B, C, D, E, Context], W]]: ...
    @overload
    def __call__(
        self, action: Callable[[A, B, C, D, E], W | Coroutine[Any, Any, W]], /
    ) -> Task[S, S, Callable[[A, B, C, D, E], W | Coroutine[Any, Any, W]]]: ...

@overload
def task(action: Callable[[A], Coroutine[Any, Any, B]], /) -> Task[A, B, Callable[[A], Coroutine[Any, Any, B]]]: ...
@overload
def task(action: Callable[[A], Awaitable[B]], /) -> Task[A, B, Callable[[A], Awaitable[B]]]: ...
@overload
def task(action: Callable[[A], AsyncGenerator[B]], /) -> Task[A, tuple[B, ...], Callable[[A], AsyncGenerator[B]]]: ...
@overload
def task(action: Callable[[A], B], /) -> Task[A, B, Callable[[A], B]]: ...
@overload
def task(
    action: Callable[[A, Context], Coroutine[Any, Any, B]], /
) -> Task[A, B, Callable[[A, Context], Coroutine[Any, Any, B]]]: ...
@overload
def task(action: Callable[[A, Context], B], /) -> Task[A, B, Callable[[A, Context], B]]: ...
@overload
def task(**options: Unpack[TaskOptions]) -> _Whole: ...
@overload
def task(*, reads: tuple[()] = ..., writes: Lens[S, W], **options: Unpack[TaskOptions]) -> _Reads0[S, W]: ...
@overload
def task(
    *, reads: tuple[()] = ..., writes: tuple[Lens[S, V], Lens[S, W]], **options: Unpack[TaskOptions]
) -> _Reads0[S, tuple[V, W]]: ...
@overload
def task(
    *, reads: tuple[()] = ..., writes: tuple[Lens[S, V], Lens[S, W], Lens[S, X]], **options: Unpack[TaskOptions]
) -> _Reads0[S, tuple[V, W, X]]: ...
@overload
def task(*, reads: Lens[S, A], writes: tuple[()] = ..., **options: Unpack[TaskOptions]) -> _Reads1[S, A, None]: ...
@overload
def task(
    *, reads: tuple[Lens[S, A], Lens[S, B]], writes: tuple[()] = ..., **options: Unpack[TaskOptions]
) -> _Reads2[S, A, B, None]: ...
@overload
def task(
    *, reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C]], writes: tuple[()] = ..., **options: Unpack[TaskOptions]
) -> _Reads3[S, A, B, C, None]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D]],
    writes: tuple[()] = ...,
    **options: Unpack[TaskOptions],
) -> _Reads4[S, A, B, C, D, None]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D], Lens[S, E]],
    writes: tuple[()] = ...,
    **options: Unpack[TaskOptions],
) -> _Reads5[S, A, B, C, D, E, None]: ...
@overload
def task(*, reads: Lens[S, A], writes: Lens[S, W], **options: Unpack[TaskOptions]) -> _Reads1[S, A, W]: ...
@overload
def task(
    *, reads: Lens[S, A], writes: tuple[Lens[S, V], Lens[S, W]], **options: Unpack[TaskOptions]
) -> _Reads1[S, A, tuple[V, W]]: ...
@overload
def task(
    *, reads: Lens[S, A], writes: tuple[Lens[S, V], Lens[S, W], Lens[S, X]], **options: Unpack[TaskOptions]
) -> _Reads1[S, A, tuple[V, W, X]]: ...
@overload
def task(
    *, reads: tuple[Lens[S, A], Lens[S, B]], writes: Lens[S, W], **options: Unpack[TaskOptions]
) -> _Reads2[S, A, B, W]: ...
@overload
def task(
    *, reads: tuple[Lens[S, A], Lens[S, B]], writes: tuple[Lens[S, V], Lens[S, W]], **options: Unpack[TaskOptions]
) -> _Reads2[S, A, B, tuple[V, W]]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B]],
    writes: tuple[Lens[S, V], Lens[S, W], Lens[S, X]],
    **options: Unpack[TaskOptions],
) -> _Reads2[S, A, B, tuple[V, W, X]]: ...
@overload
def task(
    *, reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C]], writes: Lens[S, W], **options: Unpack[TaskOptions]
) -> _Reads3[S, A, B, C, W]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C]],
    writes: tuple[Lens[S, V], Lens[S, W]],
    **options: Unpack[TaskOptions],
) -> _Reads3[S, A, B, C, tuple[V, W]]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C]],
    writes: tuple[Lens[S, V], Lens[S, W], Lens[S, X]],
    **options: Unpack[TaskOptions],
) -> _Reads3[S, A, B, C, tuple[V, W, X]]: ...
@overload
def task(
    *, reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D]], writes: Lens[S, W], **options: Unpack[TaskOptions]
) -> _Reads4[S, A, B, C, D, W]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D]],
    writes: tuple[Lens[S, V], Lens[S, W]],
    **options: Unpack[TaskOptions],
) -> _Reads4[S, A, B, C, D, tuple[V, W]]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D]],
    writes: tuple[Lens[S, V], Lens[S, W], Lens[S, X]],
    **options: Unpack[TaskOptions],
) -> _Reads4[S, A, B, C, D, tuple[V, W, X]]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D], Lens[S, E]],
    writes: Lens[S, W],
    **options: Unpack[TaskOptions],
) -> _Reads5[S, A, B, C, D, E, W]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D], Lens[S, E]],
    writes: tuple[Lens[S, V], Lens[S, W]],
    **options: Unpack[TaskOptions],
) -> _Reads5[S, A, B, C, D, E, tuple[V, W]]: ...
@overload
def task(
    *,
    reads: tuple[Lens[S, A], Lens[S, B], Lens[S, C], Lens[S, D], Lens[S, E]],
    writes: tuple[Lens[S, V], Lens[S, W], Lens[S, X]],
    **options: Unpack[TaskOptions],
) -> _Reads5[S, A, B, C, D, E, tuple[V, W, X]]:
    """One action as a plan: ``@task`` on ``A -> B`` or ``(A, Context) -> B``, or with lenses on plain values.

    ``reads`` is one lens or 2-5, passed in order, then an optional ``Context``; ``writes`` one or 2-3, filled from the
    result; ``()`` is none. Sync or async is looked at once, here. An async generator emits what it yields, and its
    result is the tuple of that. Errors: ``PlanError`` on a bad arity.
    """
