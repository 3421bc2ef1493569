"""A run that stops for a person's yes, and is answered from another process through the command line.

While the run waits no process is needed: here it ends, another one answers, and a third could resume it next week.

Output:

    waiting for an answer: send 120 crowns to Ada?
    monday: waiting, 1 step done, 1 question open
    another process answered
    paid 120 crowns
"""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from lambdacat import Failure, Outcome, SqliteJournal, Success, approve, arun, lens, resume, task


@frozen
class Bill:
    """Hours to pay for, and what came of them."""

    name: str
    hours: int
    amount: int = 0
    receipt: str = ""


HOURS, AMOUNT = lens(Bill, lambda b: b.hours), lens(Bill, lambda b: b.amount)
RECEIPT = lens(Bill, lambda b: b.receipt)


@task(reads=HOURS, writes=AMOUNT)
def price(hours: int) -> int:
    """Work out the amount."""
    return hours * 40


@task(reads=AMOUNT, writes=RECEIPT)
def pay(amount: int) -> str:
    """Send the money."""
    return f"paid {amount} crowns"


def ask_for(bill: Bill) -> str:
    """What a person is asked; the state is there to be read."""
    return f"send {bill.amount} crowns to {bill.name}?"


payment = price >> approve(ask_for) >> pay


def lambdacat(*words: str) -> str:
    """What a command prints, in a process of its own."""
    command = [sys.executable, "-m", "lambdacat", *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def say(outcome: Outcome[Bill]) -> None:
    """Show what a run came to."""
    match outcome:
        case Success(bill):
            print(bill.receipt)
        case Failure(fault):
            print(str(fault).splitlines()[0].partition(": ")[2])


def look(file: Path) -> None:
    """Show how far the run has come, as anybody may look at it."""
    [run] = json.loads(lambdacat("runs", "list", str(file), "--json"))["runs"]
    print(f"{run['run']}: {run['status']}, {run['steps']} step done, {run['questions']} question open")


def main() -> None:
    """Begin, have it answered, go on."""
    with TemporaryDirectory() as folder:
        file = Path(folder, "runs.db")
        say(asyncio.run(arun(payment, Bill("Ada", 3), journal=SqliteJournal(file, run_id="monday"))))
        look(file)
        lambdacat("runs", "answer", str(file), "monday", "yes")
        print("another process answered")
        say(asyncio.run(resume(payment, SqliteJournal(file, run_id="monday"))))


if __name__ == "__main__":
    main()
