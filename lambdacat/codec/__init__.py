"""Values at rest: what may be stored, how it is written as JSON, and how it is read without guessing."""

from lambdacat.codec.applying import applied
from lambdacat.codec.classes import Codec
from lambdacat.codec.delta import Delta, changes
from lambdacat.codec.hints import classes_in
from lambdacat.codec.refusal import NotStorable, StateCorrupt
from lambdacat.codec.registry import Codecs
from lambdacat.codec.text import Tree, json_bytes, json_tree

__all__ = [
    "Codec",
    "Codecs",
    "Delta",
    "NotStorable",
    "StateCorrupt",
    "Tree",
    "applied",
    "changes",
    "classes_in",
    "json_bytes",
    "json_tree",
]
