"""One-line mutations of machine, policies, optics and merge, each of which the tests must catch.

``python tests/mutations.py [--sample N [--seed S]] [--only N]`` runs the tests that guard the chosen files on an
untouched copy of the package, which must pass, then applies the mutations one at a time to a copy and runs them again.
A mutation is caught by a test that fails, and by nothing else: tests that hang, or that cannot be collected, say
nothing of what the tests claim. It exits 1 unless every mutation was caught. The sweep runs a sample as a test.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from enum import Enum
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent


class Mutation(NamedTuple):
    """One line changed."""

    file: str
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}: {self.old.strip()}  ->  {self.new.strip()}"


MUTATIONS: tuple[Mutation, ...] = (
    # machine
    Mutation("machine/meaning.py", "index = 0 if key else 1", "index = 1 if key else 0"),
    Mutation("machine/meaning.py", "if done == node.at_most:", "if done == (node.at_most or 0) + 1:"),
    Mutation("machine/meaning.py", "        return Spent(node), value, stack", "        return LEAVE, value, stack"),
    Mutation("machine/meaning.py", "return node.other, given, (OTHER, node, None, below)", "return node.other, node, (OTHER, node, None, below)"),
    Mutation("machine/meaning.py", "    return LEAVE, Success(value), below", "    return LEAVE, value, below"),
    Mutation("machine/meaning.py", "(TRIES, node, (attempt + 1, given), below)", "(TRIES, node, (attempt + 2, given), below)"),
    Mutation("machine/meaning.py", "    if not bound.accepts(fault):", "    if False and not bound.accepts(fault):"),
    Mutation("machine/meaning.py", "(SEQUENCE, node, (index + 1, row), below)", "(SEQUENCE, node, (index + 2, row), below)"),
    Mutation("machine/meaning.py", "index = len(node.plans) - 1", "index = 0"),
    Mutation("machine/meaning.py", "(node.reads if node.writes is None else node.writes).set(whole, value)", "node.reads.set(whole, value)"),
    Mutation("machine/fork.py", "return results[0] if len(results) == 1 else merge(fork.value, results)", "return results[0]"),
    Mutation("machine/fork.py", "return turn.ended(False, fault, below), None, below", "return turn.ended(True, fault, below), None, below"),
    Mutation("machine/fork.py", "    return evolve(fault, also=(*fault.also, *others)) if others else fault", "    return fault"),
    Mutation("machine/fork.py", "return own_copy(self.value if self.values is None else self.values[index])", "return self.value if self.values is None else self.values[index]"),
    Mutation("machine/segment.py", "return Fell(len(fns) - 1 - todo.__length_hint__(), error, value)", "return Fell(len(fns) - 2 - todo.__length_hint__(), error, value)"),
    Mutation("machine/segment.py", "            run.append(leaf)", "            run.insert(0, leaf)"),
    Mutation("machine/trail.py", "return tuple(step for row in reversed(steps) for step in row) + self._extra", "return tuple(step for row in steps for step in row) + self._extra"),
    # policies
    Mutation("policy.py", "if type(policy) is Quorum and wins == policy.k:", "if type(policy) is Quorum and wins == policy.k + 1:"),
    Mutation("policy.py", "scored.append((-score, entry[0], entry))", "scored.append((-score, -entry[0], entry))"),
    Mutation("policy.py", "scored.append((-score, entry[0], entry))", "scored.append((score, entry[0], entry))"),
    Mutation("policy.py", "    found.sort(key=lambda entry: entry[0])", "    pass"),
    Mutation("policy.py", "    if len(won) < wanted:", "    if len(won) < wanted - 1:"),
    Mutation("policy.py", "        if self.verdict is not None:\n            # Branches", "        if False:\n            # Branches"),
    Mutation("policy.py", "tuple(row[2] for row in scored[: policy.n])", "tuple(row[2] for row in scored[: policy.n + 1])"),
    # optics
    Mutation("steps.py", "row = (*whole[:place], part, *whole[place + 1 :])", "row = (*whole[:place], part, *whole[place:])"),
    Mutation("steps.py", "place = key + len(whole) if key < 0 else key", "place = key"),
    Mutation("steps.py", "return put_item(whole, self.key, parts[0]) if parts else whole", "return put_item(whole, self.key, parts[0] if parts else None)"),
    Mutation("optics.py", "in zip(reversed(self.steps), reversed(levels[:-1]), reversed(counts), strict=True):", "in zip(self.steps, levels[:-1], counts, strict=True):"),
    Mutation("optics.py", "rest.extend(reversed(step._given))", "rest.extend(step._given)"),
    Mutation("place.py", "return is_prefix(one, two) or is_prefix(two, one)", "return is_prefix(one, two)"),
    Mutation("place.py", "            return place[:length]", "            return place"),
    Mutation("wiring.py", "return lambda whole: put(whole, action(get(whole)))", "return lambda whole: put(whole, get(whole))"),
    Mutation("steps.py", "join(\"part\" if one == name else f\"whole.{one}\" for one in names)", "join(\"part\" if one >= name else f\"whole.{one}\" for one in names)"),
    # guards
    Mutation("guard/line.py", "            if self._free <= 0 or not self._waiters:\n                return\n            self._free -= 1\n", "            if not self._waiters:\n                return\n"),
    Mutation("guard/line.py", "            waiter = self._waiters.popleft()", "            waiter = self._waiters.pop()"),
    Mutation("guard/line.py", "                self._waiters.remove(waiter)\n                return\n        self.leave()", "                self._waiters.remove(waiter)"),
    Mutation("guard/rate.py", "self._full = max(self._full, now) + self._interval", "self._full += self._interval if self._full > 0 else now + self._interval"),
    Mutation("guard/rate.py", "self._slack = interval * (burst - 1)", "self._slack = interval * burst"),
    Mutation("guard/breaker.py", "            if self._probing:\n", "            if False:\n"),
    Mutation("guard/breaker.py", "        if number != self._era:\n            return\n", ""),
    Mutation("guard/breaker.py", "            self._in_a_row, self._until = 0, None", "            self._until = None"),
    Mutation("guard/breaker.py", "self._failed = False if fault is None else True if", "self._failed = False if fault is None else False if"),
    Mutation("guard/breaker.py", "        self._failed: bool | None = None", "        self._failed: bool | None = True"),
    Mutation("guard/retries.py", "            self._left -= 1\n", ""),
    Mutation("guard/retries.py", "min(float(self._burst), self._left + self._ratio)", "self._left + 1"),
    Mutation("guard/keyed.py", "and getattr(limiter, \"idle\", False)", ""),
    Mutation("guard/keyed.py", "self._forgotten.get(key) or ", ""),
    Mutation("guard/pace.py", "self._width = max(float(self._low), self._width * _LESS)", "self._width *= _LESS"),
    Mutation("guard/pace.py", "self._width = min(float(self._high), self._width + 1 / self._width)", "self._width += 1 / self._width"),
    Mutation("guard/pace.py", "            if began != self.round:\n                return 0\n", ""),
    Mutation("guard/pace.py", "return self._lately > self._slower * self._usually", "return False"),
    Mutation("guard/flight.py", "failed[0] >= self._came", "False"),
    Mutation("guard/flight.py", "            self._of._line.leave()\n            raise SameFault", "            raise SameFault"),
    Mutation("guard/cached.py", "if -_SKEW <= context.now() - at < self.seconds:", "if -_SKEW <= context.now() - at:"),
    Mutation("guard/cached.py", "{self._of_plan()}/", ""),
    Mutation("effects/ledger.py", "self.caps[measure] - self.spent[measure] - self.reserved[measure]", "self.caps[measure] - self.spent[measure]"),
    Mutation("effects/ledger.py", "        self._release(dict(self.reserved))\n        self.ledger.charge(charged)", "        self.ledger.charge(charged)"),
    Mutation("effects/ledger.py", "            self.ledger.charge(amounts)\n            if any", "            if any"),
    Mutation("effects/ledger.py", "        ledger: Ledger | None = self\n", "        ledger: Ledger | None = self if self.outer is None else self.outer\n"),
    Mutation("effects/ledger.py", "charged = {m: most for m, most in self.fallback.items() if m not in self.spent}", "charged = {}"),
    Mutation("effects/concurrent.py", "            claim.give_back()\n", ""),
    Mutation("effects/concurrent.py", "                self.ledger = last.turn.outer\n", "                pass\n"),
    Mutation("effects/direct.py", "                self.ledger = turn.outer\n", "                pass\n"),
    Mutation("effects/branches.py", " and driver.ledger is None", ""),
    Mutation("interpreters/durable.py", "            held.enter(spent)\n", "            pass\n"),
    Mutation("interpreters/durable.py", "            granted = history.granted(key)\n            if granted is None:\n                granted = await", "            granted = None\n            if granted is None:\n                granted = await"),
    Mutation("interpreters/costs.py", "    if any(getattr(cost, name).most > cap for name, cap in caps.items()):", "    if False:"),
    Mutation("interpreters/dry_run.py", "worst, alone = worst + waited, alone + waited", "pass"),
    Mutation("machine/environment.py", "max(0.0, found, _asked_for(request.fault))", "max(0.0, found)"),
    Mutation("machine/meaning.py", "bound.budget is not None and not _retried_with(bound.budget, stack)", "bound.budget is not None"),
    Mutation("effects/concurrent.py", "(FAIL if len(self.turns) <= owner.turns else Unwind(owner.node, owner.turns))", "FAIL"),
    Mutation("effects/concurrent.py", "made.above, made.ledger = (*self.above, *self.turns), self.ledger", "made.above, made.ledger = self.above, self.ledger"),
    Mutation("effects/concurrent.py", "            self.holds, self.lacks = False, True\n            self.env.permits.release()\n        held =", "            pass\n        held ="),
    Mutation("effects/direct.py", "        self.let_go(owner.turns)\n", ""),
    Mutation("effects/direct.py", "            self.let_go(0, error)\n            raise", "            raise"),
    # what is cut off
    Mutation("effects/concurrent.py", "            self.reached = (segment, value)\n            raise", "            raise"),
    Mutation("effects/concurrent.py", "        if self.called_off():", "        if False:"),
    Mutation("effects/cut_off.py", "sorted(asides, key=lambda aside: aside[0])", "list(asides)"),
    Mutation("effects/cut_off.py", "if any(isinstance(error, cancelled) for cause", "if any(True for cause"),
    Mutation("interpreters/keeping.py", "self.count <= keep", "self.count < keep"),
    # merge
    Mutation("merging.py", "    if len(tips) > 1:\n        raise Conflict", "    if len(tips) > 2:\n        raise Conflict"),
    Mutation("merging.py", "            made = combine(base, made, tip)", "            made = combine(base, tip, made)"),
    Mutation("merging.py", "dict.fromkeys((*tip, *base)) if logged is None", "tip if logged is None"),
    Mutation("merging.py", "        row[key] = made\n    return record.build(base, row)", "    return record.build(base, row)"),
    Mutation("merging.py", "    return left + right[n:]", "    return left + right"),
    # bounds, rewriting, effects
    Mutation("bound.py", "return isinstance(fault, kinds) or isinstance(error, kinds)", "return isinstance(fault, kinds)"),
    Mutation("build.py", "below = None if plan.writes is None else compose(reads, plan.writes)", "below = plan.writes"),
    Mutation("rewrite.py", "if homes[i] >= homes[j] and not after[i].disjoint_from(after[j]):", "if False:"),
    Mutation("build.py", "return focused(compose(reads, plan.reads), below, plan.limit, plan.plan)", "return Focus(compose(reads, plan.reads), below, plan.limit, plan.plan)"),
    Mutation("structure.py", "return Composite if isinstance(node, Composite) else type(node)", "return type(node)"),
    Mutation("machine/meaning.py", "    if kind is TRIES:\n        return data[1]", "    if kind is TRIES:\n        return value"),
    Mutation("telling.py", "while trace is not None and is_kernel(trace.tb_frame):", "while False:"),
    Mutation("effects/direct.py", "self.own = copy_context() if outer is None else outer.copy()", "self.own = outer"),
    Mutation("effects/branches.py", "        rows.sort()", "        rows.sort(reverse=True)"),
    Mutation("effects/cancelling.py", "            self._cancels += 1\n            self._task.cancel()", "            self._cancels += 1"),
    Mutation("effects/cancelling.py", "        for _ in range(self._cancels):\n            self._task.uncancel()", "        pass"),
    Mutation("state/forgets.py", "return None if count > len(self.keys) else self.keys[len(self.keys) - count :]", "return self.keys[len(self.keys) - count :]"),
    Mutation("effects/on_asyncio.py", "        if group.running:\n            await group.stop()", "        if False:\n            await group.stop()"),
    # values at rest
    Mutation("codec/text.py", "    if len(made) != len(pairs):", "    if False:"),
    Mutation("codec/tables.py", "        if not isfinite(tree):", "        if False:"),
    Mutation("codec/containers.py", "    if MARK not in value and _plain_keys(value):", "    if _plain_keys(value):"),
    Mutation("codec/containers.py", "row if ordered else canonical(row)", "row"),
    Mutation("codec/classes.py", "        if len(tree) != size:", "        if False:"),
    Mutation("codec/classes.py", "for version in range(found, codec.version):", "for version in range(found, found + 1):"),
    Mutation("codec/delta.py", "and repr(before) == repr(after)", "and True"),
    Mutation("codec/delta.py", "part in other or part not in after", "part not in after"),
    Mutation("codec/applying.py", "value = _changed(_refilled(value, inside), op)", "value = _refilled(_changed(value, op), inside)"),
    # durable runs
    Mutation("machine/fork.py", "self.index + 1, (*self.held, (self.index, value)))", "self.index + 1, self.held)"),
    Mutation("machine/fork.py", "entries, missing = self.entries[: self.split], self.entries[self.split :]", "entries, missing = (), self.entries"),
    Mutation("machine/pausing.py", "for _, waiting in sorted(held, key=lambda entry: entry[0])", "for _, waiting in sorted(held, key=lambda entry: -entry[0])"),
    Mutation("machine/trail.py", 'return path, f"{turns}.{text}" if turns else text', "return path, text"),
    Mutation("interpreters/durable.py", "            if history.keeps(made):\n                done = history.done(key, leaf, given, made, self.env.clock() - began)\n                history.append", "            if False:\n                done = history.done(key, leaf, given, made, self.env.clock() - began)\n                history.append"),
    Mutation("interpreters/durable.py", "            if history.keeps(made):\n                done = history.done(key, leaf, given, made, self.env.clock() - began)\n                await", "            if False:\n                done = history.done(key, leaf, given, made, self.env.clock() - began)\n                await"),
    Mutation("interpreters/durable.py", "return Wait(min(seconds, max(0.0, until - now)), None, woke)", "return Wait(seconds, None, woke)"),
    Mutation("interpreters/durable.py", "        return Note(history.timed_out(value), op), value, stack", "        return state"),
    Mutation("interpreters/history.py", 'if (document["name"], document["lenses"]) != node.memo("entry", _said):', "if False:"),
    Mutation("interpreters/history.py", "        return now if self.moved is None else self.moved.recorded(now)", "        return now"),
    Mutation("interpreters/shape.py", "and not (stops[now] or stops[later])", ""),
    Mutation("interpreters/history.py", "        if settled or kind == \"broken\":", "        if True:"),
    Mutation("interpreters/history.py", "self.number, self.digest, self.last = len(past.documents), past.digest, past.documents[-1]", "self.number, self.digest, self.last = len(past.documents), b\"\", past.documents[-1]"),
    Mutation("interpreters/outcomes.py", "return own_copy(value) if _may_change(node, value) else value", "return value"),
    Mutation("interpreters/outcomes.py", "value = lens.set(value, part)", "lens.set(value, part)"),
    Mutation("interpreters/journal.py", 'if entry[:_NEXT] != before + b" ":', "if False:"),
    Mutation("interpreters/journal.py", 'if document["n"] != number:', "if False:"),
    Mutation("interpreters/runs.py", "            if not _answered_meanwhile(history, outcome):\n                break\n    except", "            break\n    except"),
    Mutation("interpreters/answers.py", "return {key: asked[key] for key in last[\"questions\"] if key in asked}", "return asked"),
    Mutation("interpreters/shape.py", "touched[now].disjoint_from(touched[later]) and", "True and"),
    Mutation("interpreters/downstream.py", "            self.steps.add(path)\n            return dirty | writes", "            self.steps.add(path)\n            return dirty"),
    Mutation("interpreters/downstream.py", "            if after == dirty:\n                break", "            break"),
    Mutation("interpreters/recorded_errors.py", "made.__dict__[name] = codecs.from_tree(value)", "pass"),
    Mutation("store/journals.py", "where (select epoch from runs where number=?) = ?", "where (select 1 from runs where number=?) < ? + 9"),
    Mutation("store/leases.py", "if alive is not False and now < self.deadline:", "if False:"),
    Mutation("store/leases.py", "crashes = 1 if self.here > self.reached else crashes + 1", "crashes = 1"),
    Mutation("store/heads.py", "        if self.count > len(entries):", "        if False:"),
    # tools
    Mutation("tools/web_hosts.py", '    if "@" in authority:', '    if False:'),
    Mutation("tools/web_hosts.py", 'return url.host.endswith(f".{self.host}") if self.below', 'return url.host.endswith(self.host) if self.below'),
    Mutation("tools/web_hosts.py", 'else url.host == self.host', 'else url.host.endswith(self.host)'),
    Mutation("tools/web_hosts.py", '        if (self.scheme, self.port) != (url.scheme, url.port):\n            return False\n', ''),
    Mutation("tools/web_hosts.py", '    if _NOT_IN_URLS.search(text):', '    if False:'),
    Mutation("tools/web_hosts.py", '    if _NUMBER.fullmatch(text.rpartition(".")[2]):', '    if False:'),
    Mutation("tools/web_hosts.py", '"192.0.0.0/24", ', ''),
    Mutation("tools/web_hosts.py", '"2002::/16", ', ''),
    Mutation("tools/web_hosts.py", 'if is_nowhere(address) or not (listed or is_public(address)):', 'if not (listed or is_public(address)):'),
    Mutation("tools/web_hosts.py", '    for address in found:\n', '    for address in list(found)[:1]:\n'),
    Mutation("tools/web_hops.py", '    if now.url.scheme == "https" and url.scheme != "https":', '    if False:'),
    Mutation("tools/web_hops.py", '    return evolve(hop, headers=tuple(pair for pair in hop.headers if pair[0] in _FOR_ANYBODY))', '    return hop'),
    Mutation("tools/web_hops.py", '    if hop.body or hop.method not in ("GET", "HEAD"):', '    if False:'),
    Mutation("tools/web_hops.py", '    if _SCHEME.match(text):\n        return url_of(text)\n', ''),
    Mutation("tools/web_hops.py", ' or value != value.strip()', ''),
    Mutation("tools/web_hops.py", '    if len(places) > 1:', '    if False:'),
    Mutation("tools/web_wire.py", '        check_addresses(self._url, found, self._bounds.private)\n', ''),
    Mutation("tools/web_wire.py", 'self._sockets.connect_tcp(str(address), port', 'self._sockets.connect_tcp(host, port'),
    Mutation("tools/web_wire.py", '            if len(made) > size or sent > size + FRAMING:', '            if False:'),
    Mutation("tools/web_wire.py", 'unpack.some(chunk, size + 1 - len(made))', 'unpack.some(chunk, 10**9)'),
    Mutation("tools/web_wire.py", '    if codings not in (["gzip"], ["x-gzip"]):', '    if "gzip" not in codings:'),
    Mutation("tools/web_wire.py", '    if len(headers) > HEADERS or sum', '    if sum'),
    Mutation("tools/web_wire.py", '    if unpack is not None and sent and not unpack.whole:', '    if False:'),
    Mutation("tools/web_wire.py", '    made.load_verify_locations(authorities or certifi.where())', '    made.set_default_verify_paths()\n    made.load_verify_locations(authorities or certifi.where())'),
    Mutation("tools/web_wire.py", '                await one.aclose()', '                pass'),
    Mutation("tools/web_wire.py", ', abandon_on_cancel=True', ''),
    Mutation("tools/http.py", '            check_listed(hop.url, self.hosts)\n', ''),
    Mutation("tools/http.py", '        for _ in range(HOPS + 1):', '        for _ in range(99):'),
    Mutation("tools/http.py", '{name}: {value}" for name, value in hop.headers', '{name}" for name, value in hop.headers'),
    Mutation("tools/http.py", ' and len(found.body) <= size and', ' and'),
    Mutation("tools/web_answer.py", 'return min(max(0.0, until - (now() if sent is None else sent)), PATIENCE_MOST)', 'return max(0.0, until - now())'),
    Mutation("tools/web_answer.py", '_CHARSETS.get(named[1].lower() if named else "", "utf-8")', 'named[1] if named else "utf-8"'),
    Mutation("tools/search.py", '            if hit.locator in seen:\n                continue\n', ''),
    Mutation("tools/search.py", 'if hit.locator not in best or rank < best[hit.locator][0]:', 'if hit.locator not in best:'),
    Mutation("tools/search.py", '    except Denied:\n        return None\n', '    except Denied:\n        locator = str(result.get("url"))\n'),
    Mutation("tools/search.py", '    if not hits:\n        raise NothingFound("nothing was found")\n', ''),
    Mutation("tools/search.py", '                    failed.append((name, _why(fault)))', '                    pass'),
    Mutation("research_citing.py", 'if not 1 <= number <= most:', 'if not 1 <= number:'),
    Mutation("research_citing.py", '        if not each.sources:\n', '        if False:\n'),
    Mutation("research_citing.py", 'if found else ("it is empty",)', 'if found else ()'),
    Mutation("research_citing.py", 'dict.fromkeys((*term.kin, *more[:_KIN]))', 'dict.fromkeys(more[:_KIN])'),
    Mutation("research_model.py", 'when(is_ill_cited, patient(repair_draft, later))', 'patient(repair_draft, later)'),
    Mutation("research_model.py", 'ActionFailed() | TimedOut() | Unavailable():', 'ActionFailed():'),
    Mutation("research_model.py", 'thinking.within(budget) | unaided', 'thinking | unaided'),
    Mutation("research_model.py", 'thinking.within(budget) | unaided', 'thinking.within(budget)'),
    Mutation("research_model.py", '.guarded(breaker)', ''),
    Mutation("research_cost.py", '        self._call.spend(tokens, money)\n', ''),
    Mutation("research_cost.py", 'int(context.attempt > 1)', '0'),
    Mutation("research.py", '-known.get(each.passage.locator, 0.0)', '0.0'),
    Mutation("research_memory.py", '.retry(Fixed(0.02).times(50), on=VersionConflict)', ''),
    Mutation("research_memory.py", 'except StateCorrupt as error:', 'except ZeroDivisionError as error:'),
    Mutation("research_command.py", '            keep_secret(key)', '            pass'),
    Mutation("research_command.py", 'if not absence(journal) and list(journal.entries()):', 'if False:'),
    Mutation("research_command.py", '() if aid is None else (aid.model', '() if True else (aid.model'),
)  # fmt: skip

CASES = ("tests/test_cases_plans.py", "tests/test_cases_parallel.py", "tests/test_cases_optics.py")
LAWS = ("tests/test_faults.py", "tests/test_traces.py", "tests/test_rewrite.py", "tests/test_laws.py")
"""Checked after the cases, in one thread only: the loops run the same machine."""
ONE_THREAD = "not asyncio and not trio and not traced and not stateful and not interpret and not optimised"
JOURNALS = tuple(
    f"tests/test_{name}.py" for name in ("journalled_runs", "asking", "replaying", "shapes", "moved_plans")
)
DURABLE = ("machine/pausing", "machine/trail", "machine/fork", "interpreters/", "store/")
TIMED = (
    "tests/test_cases_plans.py::test_the_cost_of_a_step_does_not_grow_with_the_length",
    "tests/test_cancellation.py::test_a_timer_that_comes_early_still_counts",
    "tests/test_cancellation.py::test_a_timeout_of_a_blocking_call_states_the_truth",
    "tests/test_cancellation.py::test_ctrl_c_cleans_up_and_exits",
)
"""Deselected: what they claim is about a real clock, so a busy machine could pass for a caught mutation."""
SECONDS = 100
"""How long the tests of one guard may take before they count as hung; untouched they take 15."""

Guard = tuple[str, ...]
"""The arguments of one pytest."""
CONCURRENT: Guard = ("tests/test_cancellation.py", "tests/test_agreement.py")
KERNEL: tuple[Guard, ...] = (("-k", ONE_THREAD, *CASES), ("-k", ONE_THREAD, *LAWS), ("tests/test_faults.py", *CASES))
"""One thread first, which is quick; what only side by side can show comes last."""


class Ending(Enum):
    """How the tests of a guard ended."""

    PASSED = "the tests passed"
    FAILED = "a test failed"
    HUNG = "the tests hung"
    BROKE = "the tests could not be run"


class Verdict(NamedTuple):
    """What the tests made of one copy of the package."""

    ending: Ending
    said: str = ""


BUDGETS = (
    "ledger", "claim.give_back", "held.enter", "history.granted", "caps.items", "worst + waited", "_asked_for",
    "_retried_with",
)  # fmt: skip


def guards(mutation: Mutation) -> tuple[Guard, ...]:
    """The tests that guard a file; the likeliest first."""
    if mutation.file.startswith("codec/"):
        return (tuple(f"tests/test_codec{name}.py" for name in ("", "_refusals", "_classes", "_changes")),)
    if mutation.file == "interpreters/keeping.py":
        return (("tests/test_kept_traces.py",),)
    if mutation.file == "effects/ledger.py" or any(word in mutation.old for word in BUDGETS):
        return (("tests/test_guards.py",),)
    if mutation.file.startswith(DURABLE):
        files = ("tests/test_ownership.py", "tests/test_journals.py", "tests/test_journal_damage.py")
        durable = (JOURNALS, ("tests/test_durable.py",), files)
        return (*KERNEL, *durable) if mutation.file.startswith("machine/") else durable
    if mutation.file == "effects/cancelling.py":
        return (("tests/test_outside_cancellation.py",), CONCURRENT)
    if mutation.file.startswith("guard/") or any(word in mutation.old for word in (".turns", "let_go", ".lacks")):
        return (("tests/test_limiters.py",), ("tests/test_guards.py",))
    if mutation.file == "effects/cut_off.py" or any(word in mutation.old for word in ("self.reached", "called_off")):
        return (("tests/test_clean_ups.py",),)
    if mutation.file in ("research_memory.py", "research_command.py"):
        return (("tests/test_research_command.py",),)
    if mutation.file.startswith("research"):
        return (("tests/test_research_model.py",),)
    if mutation.file == "tools/search.py":
        return (("tests/test_search.py",),)
    if mutation.file.startswith(("tools/http", "tools/web_")):
        return tuple((f"tests/test_http_{name}.py",) for name in ("hosts", "bounds", "uses"))
    if mutation.file.startswith("state/"):
        return (("tests/test_memory.py",),)
    if mutation.file in ("effects/branches.py", "effects/on_asyncio.py"):
        return (("tests/test_cases_parallel.py", "tests/test_determinism.py"), CONCURRENT)
    return KERNEL


def tried(mutation: Mutation | None, wanted: Sequence[Guard]) -> Verdict:
    """What the guards say of a copy of the package with the mutation in it; the first that objects has the word."""
    with tempfile.TemporaryDirectory() as folder:
        package = Path(folder, "lambdacat")
        shutil.copytree(ROOT / "lambdacat", package, ignore=shutil.ignore_patterns("__pycache__"))
        if mutation is not None:
            file = package / mutation.file
            file.write_text(file.read_text().replace(mutation.old, mutation.new, 1))
        for guard in wanted:
            verdict = _guarded(guard, folder)
            if verdict.ending is not Ending.PASSED:
                return verdict
        return Verdict(Ending.PASSED)


def _guarded(guard: Guard, folder: str) -> Verdict:
    environment = {**os.environ, "PYTHONPATH": folder, "PYTHONDONTWRITEBYTECODE": "1", "PYTEST_ADDOPTS": ""}
    # -P: the copy must come before the package in the current folder.
    command = [sys.executable, "-P", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", "-n", "0"]
    command += [f"--deselect={name}" for name in TIMED]
    # Killed as a group: a test that hangs may have programs of its own.
    with subprocess.Popen(
        [*command, *guard],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            return Verdict(Ending.HUNG, f"{' '.join(guard)} did not end within {SECONDS} s")
    match process.returncode:
        case pytest.ExitCode.OK:
            return Verdict(Ending.PASSED)
        case pytest.ExitCode.TESTS_FAILED:
            return Verdict(Ending.FAILED, said)
        case code:
            return Verdict(Ending.BROKE, f"{' '.join(guard)} ended with {code}\n{said}")


def stale(chosen: Sequence[Mutation]) -> list[str]:
    """What this file says of others and is so no longer."""
    lines = [f"{one}: the file has no such line" for one in chosen if one.old not in _text("lambdacat/" + one.file)]
    named = [name.split("::") for name in TIMED]
    return lines + [f"{file} has no {test}" for file, test in named if f"def {test}(" not in _text(file)]


def _text(file: str) -> str:
    return (ROOT / file).read_text()


def _control(chosen: Sequence[Mutation], pool: ThreadPoolExecutor) -> Verdict:
    """What the tests say of the untouched package."""
    wanted = dict.fromkeys(guard for one in chosen for guard in guards(one))
    found = pool.map(lambda guard: tried(None, (guard,)), wanted)
    return next((verdict for verdict in found if verdict.ending is not Ending.PASSED), Verdict(Ending.PASSED))


def main() -> int:
    """Run the mutations, two at a time; 1 unless every one of them is caught, 2 when the run says nothing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", type=int, help="just this one, counted from 0")
    parser.add_argument("--sample", type=int, help="so many, drawn by the seed")
    parser.add_argument("--seed", type=int, default=0, help="what the sample is drawn by (0)")
    given = parser.parse_args()
    chosen: Sequence[Mutation] = MUTATIONS if given.only is None else MUTATIONS[given.only : given.only + 1]
    if given.sample is not None:
        chosen = random.Random(given.seed).sample(chosen, min(given.sample, len(chosen)))
        print(f"{len(chosen)} of {len(MUTATIONS)} mutations, seed {given.seed}")
    if gone := stale(chosen):
        print("out of date", *gone, sep="\n")
        return 2
    begin = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        control = _control(chosen, pool)
        if control.ending is not Ending.PASSED:
            print(f"VOID: without any mutation {control.ending.value}: {control.said}")
            return 2
        found = list(pool.map(lambda one: tried(one, guards(one)).ending, chosen))
    for mutation, ending in zip(chosen, found, strict=True):
        if ending is not Ending.FAILED:
            print(f"{'SURVIVED' if ending is Ending.PASSED else 'ERROR, ' + ending.value}: {mutation}")
    caught = found.count(Ending.FAILED)
    print(f"{caught} of {len(chosen)} mutations caught in {time.perf_counter() - begin:.0f} s")
    return 0 if caught == len(chosen) else 1


if __name__ == "__main__":
    raise SystemExit(main())
