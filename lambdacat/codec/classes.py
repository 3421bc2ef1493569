"""How a class of the user's is written and read: a record by its fields, an enum by its names, others as they say."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, TypeAlias, final

from attrs import Factory, field, frozen
from rpds import HashTrieMap

from lambdacat.codec.forms import Form, form_of
from lambdacat.codec.refusal import NotStorable, StateCorrupt
from lambdacat.codec.tables import (
    MARK,
    PLAIN,
    PLAIN_TREES,
    VERSION,
    Reader,
    Readers,
    Writer,
    Writers,
    need_room,
    read,
    read_items,
    too_deep,
)
from lambdacat.codec.text import Tree
from lambdacat.place import Attr

Migration: TypeAlias = Callable[[Any], Any]
"""From what one version holds to what the next one does: a dict of fields, or whatever ``encode`` gave."""


def _is_class(codec: object, attribute: object, value: object) -> None:
    if not isinstance(value, type):
        raise ValueError(f"a codec is for a class, not for {value!r}")


def _frozen_map(migrations: Mapping[int, Migration]) -> Mapping[int, Migration]:
    return HashTrieMap(migrations)


@final
@frozen
class Codec:
    """How values of one class are stored: under which name, in which version, and how older versions become it.

    Law: ``decode(encode(value)) == value``; ``migrations[n]`` takes what version ``n`` stored to version ``n + 1``.
    Errors: ``ValueError`` for a class that cannot be written by its fields and has no ``encode`` and ``decode``.
    """

    cls: Any = field(validator=_is_class)
    name: str = field(
        default=Factory(lambda self: getattr(self.cls, "__qualname__", ""), takes_self=True), kw_only=True
    )
    """The tag that its values are stored under; by default the ``__qualname__`` of the class."""
    encode: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    decode: Callable[[Any], Any] | None = field(default=None, kw_only=True)
    version: int = field(default=1, kw_only=True)
    migrations: Mapping[int, Migration] = field(factory=dict, converter=_frozen_map, kw_only=True)

    def __attrs_post_init__(self) -> None:
        if type(self.name) is not str or not self.name:
            raise ValueError(f"the name of the codec for {self.cls.__qualname__} is a text, not {self.name!r}")
        if type(self.version) is not int or self.version < 1:
            raise ValueError(f"versions of {self.name} count from 1, so {self.version!r} is none")
        if strange := [n for n in self.migrations if n not in range(1, self.version)]:
            raise ValueError(f"{self.name} is at version {self.version}; no migration can start from {strange}")
        if (self.encode is None) is not (self.decode is None):
            raise ValueError(f"the codec for {self.name} has one of encode and decode; give both or neither")
        for given in (self.encode, self.decode, *self.migrations.values()):
            if given is not None and not callable(given):
                raise ValueError(f"encode, decode and migrations of {self.name} are functions, not {given!r}")

    def pair(self) -> tuple[Writer, Reader]:
        """How a value of the class becomes a tree, and a tree a value."""
        if self.encode is None or self.decode is None:
            form = form_of(self.cls)
            return _field_writer(self, form), _reader(self, form)
        decode = self.decode
        return _own_writer(self, self.encode), _reader(self, Form(("of",), tuple, lambda row: decode(row[0])))


# --- writing ---------------------------------------------------------------------------------------------------------


def _head(codec: Codec) -> dict[str, Tree]:
    return {MARK: codec.name} if codec.version == 1 else {MARK: codec.name, VERSION: codec.version}


def _field_writer(codec: Codec, form: Form) -> Writer:
    head, names, take = _head(codec), form.names, form.take

    def write(value: Any, room: int, writers: Writers) -> Tree:
        if room <= 0:
            too_deep(room)
        tree = head.copy()
        inner = room - 1
        name = ""
        try:
            for name, part in zip(names, take(value), strict=True):
                kind = type(part)
                tree[name] = part if kind in PLAIN else writers[kind](part, inner, writers)
        except NotStorable as error:
            error.inside(Attr(name))
            raise
        return tree

    return write


def _own_writer(codec: Codec, encode: Callable[[Any], Any]) -> Writer:
    head = _head(codec)

    def write(value: Any, room: int, writers: Writers) -> Tree:
        too_deep(room)
        try:
            made = encode(value)
        except RecursionError:
            raise  # the caller's stack, not the value
        except Exception as error:
            raise NotStorable(f"the encode of its codec raised {type(error).__name__}: {error}") from error
        return {**head, "of": writers[type(made)](made, room - 1, writers)}

    return write


# --- reading ---------------------------------------------------------------------------------------------------------


def _reader(codec: Codec, form: Form) -> Reader:
    make, version, fields = form.make, codec.version, _fields_reader(codec, form)

    def read_one(tree: dict[str, Any], room: int, readers: Readers) -> Any:
        own = tree.get(VERSION, 1) == version
        row = fields(tree, room, readers) if own else _migrated(codec, form, tree, room, readers)
        try:
            return make(row)
        except RecursionError:
            raise  # the caller's stack, not the value
        except Exception as error:
            raise _refused(codec, error) from error

    return read_one


def _fields_reader(codec: Codec, form: Form) -> Reader:
    """The fields of the codec's own version, in order."""
    names = form.names
    size = len(names) + len(_head(codec))

    def read_fields(tree: dict[str, Any], room: int, readers: Readers) -> list[Any]:
        if room <= 0:
            need_room(room)
        row: list[Any] = []
        room -= 1
        try:
            for name in names:
                part = tree[name]
                row.append(part if type(part) in PLAIN_TREES else read(part, room, readers))
        except KeyError:
            raise _other_shape(codec, form, tree) from None
        except StateCorrupt as error:
            error.inside(Attr(names[len(row)]))
            raise
        if len(tree) != size:
            raise _other_shape(codec, form, tree)
        return row

    return read_fields


def _refused(codec: Codec, error: Exception) -> StateCorrupt:
    what = "is no member of it" if issubclass(codec.cls, Enum) else f"it raised {type(error).__name__}: {error}"
    return StateCorrupt(f"{codec.name} refused what was stored: {what}")


def _other_shape(codec: Codec, form: Form, fields: Mapping[str, Any]) -> StateCorrupt:
    missing = [name for name in form.names if name not in fields]
    unknown = [name for name in fields if name not in (*form.names, MARK, VERSION)]
    found = [f"{word} {', '.join(map(repr, some))}" for word, some in (("lacks", missing), ("has", unknown)) if some]
    change = f"Codec({codec.name}, version={codec.version + 1}, migrations={{{codec.version}: ...}})"
    return StateCorrupt(
        f"a {codec.name} that was stored {' and '.join(found)}, unlike its class; a class changes its shape with a "
        f"version and a migration: {change}"
    )


def _migrated(codec: Codec, form: Form, tree: dict[str, Any], room: int, readers: Readers) -> list[Any]:
    """The fields of an older version, brought to this one."""
    found = tree.get(VERSION, 1)
    if type(found) is not int or not 1 <= found <= codec.version:
        raise StateCorrupt(f"a {codec.name} was stored in version {found!r}; this program knows 1 to {codec.version}")
    fields: Any = read_items({key: part for key, part in tree.items() if key not in (MARK, VERSION)}, room, readers)
    for version in range(found, codec.version):
        fields = _step(codec, version, fields)
    if not isinstance(fields, Mapping) or set(fields) != set(form.names):
        raise _other_shape(codec, form, fields if isinstance(fields, Mapping) else {})
    return [fields[name] for name in form.names]


def _step(codec: Codec, version: int, fields: dict[str, Any]) -> Any:
    migration = codec.migrations.get(version)
    if migration is None:
        raise StateCorrupt(
            f"a {codec.name} was stored in version {version} and there is no way to version {version + 1}; declare "
            f"Codec({codec.name}, version={codec.version}, migrations={{{version}: ...}})"
        )
    try:
        return migration(fields) if codec.encode is None else {"of": migration(fields["of"])}
    except Exception as error:
        raise StateCorrupt(
            f"the migration of {codec.name} from version {version} raised {type(error).__name__}: {error}"
        ) from error
