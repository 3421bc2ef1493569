"""What several branches make of a part on which they must agree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lambdacat.merging import Conflict
from lambdacat.place import Attr, Place


def only_change(place: Place, name: str, base: Any, tips: Sequence[tuple[int, Any]]) -> Any:
    """The field as the branches have it that changed it, or as it was. Errors: ``Conflict`` unless those agree."""
    old = getattr(base, name)
    changed = [(index, made) for index, tip in tips if (made := getattr(tip, name)) is not old and made != old]
    if any(made != changed[0][1] for _, made in changed):
        raise Conflict((*place, Attr(name)), tuple(index for index, _ in changed))
    return changed[0][1] if changed else old
