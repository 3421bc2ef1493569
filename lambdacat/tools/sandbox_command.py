"""What a sandbox needs of a machine, and the command that makes one with bubblewrap."""

from __future__ import annotations

import os
import platform
import random
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

from lambdacat.tools.syscalls import MACHINES

HOME = "/code"
SCRATCH = "/tmp"
_KERNEL = (5, 14)
"""From then on the processes of a sandbox are counted by themselves, and not with all others of their user."""
_SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64")
_READABLE = ("/etc/ld.so.cache", "/usr/share/zoneinfo")
_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_NOBODY = 65_534
_FREE_USERS = range(1_900_000_000, 2_000_000_000)
"""Numbers that no user has, and no tool gives out."""


def missing() -> tuple[str, ...]:
    """Everything that this machine lacks, each in one line; empty where a sandbox can be tried."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux":
        return (f"Linux: this is {system or 'an unknown system'}",)
    return tuple(_lacking(machine))


def _lacking(machine: str) -> Iterator[str]:
    if machine not in MACHINES or sys.maxsize < 2**32:
        yield f"a 64-bit machine of the kinds {', '.join(MACHINES)}: this is {machine or 'unknown'}"
    release = platform.release()
    numbers = [int(part) for part in release.replace("-", ".").split(".")[:2] if part.isdigit()]
    if tuple(numbers) < _KERNEL:
        yield f"Linux {'.'.join(map(str, _KERNEL))} or later: this is {release}"
    if program() is None:
        yield "bubblewrap: apt-get install bubblewrap"
    actions = _read("/proc/sys/kernel/seccomp/actions_avail").split()
    if not {"kill_process", "errno"} <= set(actions):
        yield "seccomp: this kernel filters no system calls"
    # Root needs none: the kernel lets it make the other namespaces by itself.
    switches = ("/proc/sys/user/max_user_namespaces", "/proc/sys/kernel/unprivileged_userns_clone")
    if os.getuid() != 0 and any(_read(switch) == "0" for switch in switches):
        yield "user namespaces: they are switched off"


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="ascii").strip()
    except OSError:
        return ""


def program() -> str | None:
    """Where bubblewrap is."""
    return shutil.which("bwrap")


def other_user() -> int | None:
    """Whom root becomes: the kernel does not count the processes of root. None for anyone else."""
    if os.getuid() != 0:
        return None
    mine = random.SystemRandom().choice(_FREE_USERS)
    for line in _read("/proc/self/uid_map").splitlines():
        first, _, count = map(int, line.split())
        if first <= mine < first + count:
            return mine
    # In a container that has fewer numbers.
    return _NOBODY


def command(
    inside: Sequence[str], *, filter_fd: int, info_fd: int, scratch: int, files: Sequence[tuple[int, str]]
) -> list[str]:
    """How a program is started in a sandbox.

    ``files`` are descriptors that are read, and the paths at which their contents lie then.
    Units: ``scratch`` in bytes.
    """
    started = [program() or "bwrap", "--die-with-parent", "--new-session", "--clearenv", "--hostname", "sandbox"]
    started += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    if os.getuid() == 0:
        # What it takes to become somebody else, which is the first thing that happens inside.
        started += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        started += ["--unshare-user", "--uid", str(_NOBODY), "--gid", str(_NOBODY)]
    started += [*_system(), *_interpreter()]
    for device in _DEVICES:
        started += ["--dev-bind", device, device]
    started += ["--perms", "1777", "--size", str(scratch), "--tmpfs", SCRATCH]
    for number, path in files:
        started += ["--perms", "0444", "--file", str(number), path]
    started += ["--remount-ro", "/", "--chdir", SCRATCH]
    started += ["--seccomp", str(filter_fd), "--info-fd", str(info_fd), "--", *inside]
    return started


def interpreter() -> Path:
    """The interpreter that runs this program, not the one of its virtual environment."""
    # What ``sys.executable`` leads to is a copy in some environments, and does not find its library by itself.
    return Path(getattr(sys, "_base_executable", sys.executable)).resolve()


def _system() -> Iterator[str]:
    """Libraries of the system, as they are linked with one another."""
    for path in (*_SYSTEM, *_READABLE, *_DEVICES, f"{HOME}/program.py"):
        yield from _on_the_way(Path(path))
    for folder in _SYSTEM:
        if os.path.islink(folder):
            yield from ("--symlink", os.readlink(folder), folder)
        elif os.path.isdir(folder):
            yield from ("--ro-bind", folder, folder)
    for path in _READABLE:
        yield from ("--ro-bind-try", path, path)


def _on_the_way(path: Path) -> Iterator[str]:
    """The folders above, which bubblewrap would make for root alone."""
    for folder in reversed(path.parents[:-1]):
        yield from ("--perms", "0755", "--dir", str(folder))


def _interpreter() -> Iterator[str]:
    """The interpreter and its own library, without what was installed into it."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    homes = {Path(sysconfig.get_path("stdlib")), Path(sys.base_exec_prefix, sys.platlibdir, version)}
    linked = Path(sysconfig.get_config_var("LIBDIR") or "/usr/lib").glob("*.so*")
    bound = (interpreter(), *sorted(home for home in homes if home.is_dir()), *sorted(linked))
    bound = tuple(path for path in bound if not any(path.is_relative_to(folder) for folder in _SYSTEM))
    for path in bound:
        yield from _on_the_way(path)
        yield from ("--ro-bind", str(path), str(path))
    installed = [home / name for home in sorted(homes) for name in ("site-packages", "dist-packages")]
    for folder in (*installed, Path("/usr/lib/python3/dist-packages")):
        if folder.is_dir():
            yield from ("--tmpfs", str(folder))
