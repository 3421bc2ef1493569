"""A state that outlives its process, and that two who change it at once cannot spoil.

A reading list lies in a file. Each run of the plan loads it, takes the next title, and saves it. The third run is
overtaken: another one loads and saves while it works. Its own save is refused then, instead of undoing the other's. The
fourth is overtaken too, and does its work again on what is there now, because it is a retry.

Output:

    first run     read tides, left moons, stars, winds
    second run    read moons, left stars, winds
    the visitor   read stars, left winds
    third run     'ada' was written by another: version 2 was to be replaced and version 3 is there; read it again
    the visitor   read winds, left nothing
    fourth run    read nothing, left nothing
    on disk       ada, version 5: nothing
"""

import json
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from lambdacat import ActionFailed, Context, Failure, Key, Plan, Success, lens, run, task
from lambdacat.store import FileStore, persisted


@frozen
class Shelf:
    """What is still to be read, and what was read last."""

    waiting: tuple[str, ...]
    last: str = "nothing"


WAITING, LAST = lens(Shelf, lambda s: s.waiting), lens(Shelf, lambda s: s.last)
MEANWHILE: Key[list[Callable[[], None]]] = Key("meanwhile")
"""What others do while a run is working, each once."""


@task(reads=WAITING, writes=(LAST, WAITING))
def take_next(waiting: tuple[str, ...], ctx: Context) -> tuple[str, tuple[str, ...]]:
    """Read for a while."""
    for visit in ctx[MEANWHILE]:
        visit()
    ctx[MEANWHILE].clear()
    return (waiting[0], waiting[1:]) if waiting else ("nothing", ())


def go(who: str, plan: Plan[Shelf, Shelf], *meanwhile: Callable[[], None]) -> None:
    """One run, and what came of it."""
    context = Context().provide(MEANWHILE, list(meanwhile))
    match run(plan, Shelf(("tides", "moons", "stars", "winds")), context=context):
        case Success(shelf):
            print(f"{who:13} read {shelf.last}, left {', '.join(shelf.waiting) or 'nothing'}")
        case Failure(ActionFailed(error=error)):
            print(f"{who:13} {error}")
        case Failure(fault):
            print(fault)


def main() -> None:
    """Four runs, two of them overtaken."""
    with TemporaryDirectory() as folder:
        reading = persisted(take_next, FileStore(folder, codecs=[Shelf]), "ada")

        def visit() -> None:
            go("the visitor", reading)

        go("first run", reading)
        go("second run", reading)
        go("third run", reading, visit)
        go("fourth run", reading.retry(3), visit)
        (file,) = Path(folder).glob("ada.*.json")
        document = json.loads(file.read_text())
        print(f"{'on disk':13} {document['key']}, version {document['version']}: {document['value']['last']}")


if __name__ == "__main__":
    main()
