"""A run whose process is killed, and that goes on in another one as if nothing had happened.

The first process gets SIGKILL in the third of four steps: it can neither catch that nor clean up. The second one takes
the journal, performs what is left, and comes to the same result. The step that was in flight is begun again, under
the idempotency key it had, so that the courier knows the order again.

Output:

    first process: charge
    first process: pack
    first process: book
    killed while the courier had not answered
    run 'order 7' can go on (unfinished; steps done: 2)
    second process: book
    second process: tell
    Order(item='lamp', price=42, box='small', courier='tomorrow', told=True)
    the courier has 1 order
"""

import asyncio
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from lambdacat import Context, Key, SqliteJournal, arun, can_resume, lens, resume, task, value_or_raise


@frozen
class Order:
    """What is sold, and how far it has come."""

    item: str
    price: int = 0
    box: str = ""
    courier: str = ""
    told: bool = False


ITEM, PRICE, BOX = lens(Order, lambda o: o.item), lens(Order, lambda o: o.price), lens(Order, lambda o: o.box)
COURIER, TOLD = lens(Order, lambda o: o.courier), lens(Order, lambda o: o.told)

OFFICE: Key[Path] = Key("office")
"""The folder in which the courier takes orders, and in which the journal lies."""
WHO: Key[str] = Key("who")


def say(ctx: Context) -> None:
    """Show that a step is performed, and where."""
    print(f"{ctx[WHO]} process: {ctx.step}", flush=True)


@task(reads=ITEM, writes=PRICE)
def charge(item: str, ctx: Context) -> int:
    """Take the money. Nobody wants to pay twice."""
    say(ctx)
    return 42


@task(reads=ITEM, writes=BOX)
def pack(item: str, ctx: Context) -> str:
    """Find a box."""
    say(ctx)
    return "small"


@task(reads=(ITEM, BOX), writes=COURIER)
def book(item: str, box: str, ctx: Context) -> str:
    """Order a courier, who answers when the office opens and takes each key once."""
    say(ctx)
    (ctx[OFFICE] / f"order {ctx.idempotency_key}").touch()
    while not (ctx[OFFICE] / "open").exists():
        time.sleep(0.01)
    return "tomorrow"


@task(reads=COURIER, writes=TOLD)
def tell(courier: str, ctx: Context) -> bool:
    """Tell the customer."""
    say(ctx)
    return True


ship = charge >> pack >> book >> tell


def journal_in(office: Path) -> SqliteJournal:
    """The journal of this order."""
    return SqliteJournal(office / "runs.db", run_id="order 7")


def first(office: Path) -> None:
    """What the first process does: begin the run."""
    context = Context().provide(OFFICE, office).provide(WHO, "first")
    value_or_raise(asyncio.run(arun(ship, Order("lamp"), journal=journal_in(office), context=context)))


def begin_and_kill(office: Path) -> None:
    """Start the first process and kill it in its third step."""
    process = subprocess.Popen([sys.executable, __file__, str(office)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            print(line, end="")
            if line.endswith("book\n"):
                process.kill()
    process.wait()
    print("killed while the courier had not answered")


def main() -> None:
    """Go on with the run of a process that was killed."""
    with TemporaryDirectory() as folder:
        office = Path(folder)
        begin_and_kill(office)
        journal = journal_in(office)
        print(can_resume(ship, journal))
        (office / "open").touch()
        context = Context().provide(OFFICE, office).provide(WHO, "second")
        print(value_or_raise(asyncio.run(resume(ship, journal, context=context))))
        print(f"the courier has {len(list(office.glob('order *')))} order")


if __name__ == "__main__":
    if sys.argv[1:]:
        first(Path(sys.argv[1]))
    else:
        main()
