"""The system calls that a sandbox refuses, and the filter that refuses them, as the kernel wants to be given it."""

from __future__ import annotations

from collections.abc import Iterator
from struct import pack
from typing import NamedTuple

LAST = 462
"""The newest call that was looked at. Later ones do not exist inside: what they will be able to do is not known."""

CHROOT = {"x86_64": 161, "aarch64": 51}
"""Refused as if the kernel had never heard of it, which no kernel says by itself: so the filter can be seen to work."""
_CLONE = {"x86_64": 56, "aarch64": 220}
_SOCKET = {"x86_64": 41, "aarch64": 198}
_SOCKETPAIR = {"x86_64": 53, "aarch64": 199}
_CLONE3 = 435

# Numbers on x86_64 and aarch64; None where the machine has no such call.
REFUSED: dict[str, tuple[int | None, int | None]] = {
    # Other processes.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # What there is to see, and who one is.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "statmount": (457, 457),
    "listmount": (458, 458),
    "unshare": (272, 97),
    "setns": (308, 268),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    # Large parts of the kernel that were broken often, and that no calculation wants.
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "userfaultfd": (323, 282),
    "seccomp": (317, 277),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "iopl": (172, None),
    "ioperm": (173, None),
    "vmsplice": (278, 75),
    "lookup_dcookie": (212, 18),
    # Memory that no limit of a process counts.
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "mbind": (237, 235),
    "set_mempolicy": (238, 237),
    "set_mempolicy_home_node": (450, 450),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # The machine itself. Whoever has no privileges may not anyway.
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "kexec_file_load": (320, 294),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "swapoff": (168, 225),
    "acct": (163, 89),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "syslog": (103, 116),
    "settimeofday": (164, 170),
    "clock_settime": (227, 112),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "vhangup": (153, 58),
}

MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""The machines that the numbers are known of, and what the kernel calls their kind of call."""
_X32 = 0x40000000
"""On x86_64 the calls with this bit are another kind again, and would pass by everything above."""
_NAMESPACES = 0x7E020000
_AF_UNIX = 1

_KILL, _EPERM, _ENOSYS, _ALLOW = 0x80000000, 0x00050001, 0x00050026, 0x7FFF0000
# Where the kernel puts the number of the call, its kind, and the lower half of the first argument.
_NR, _ARCH, _FIRST = 0, 4, 16


class Instruction(NamedTuple):
    """One instruction of the kernel's filter machine; ``yes`` and ``no`` are how many to leave out."""

    code: int
    yes: int
    no: int
    k: int


def _load(offset: int) -> Instruction:
    return Instruction(0x20, 0, 0, offset)


def _return(what: int) -> Instruction:
    return Instruction(0x06, 0, 0, what)


def _unless_equal(k: int, leave_out: int) -> Instruction:
    return Instruction(0x15, 0, leave_out, k)


def instructions(machine: str) -> Iterator[Instruction]:
    """The filter of a machine. Errors: ``KeyError`` for one that is not in ``MACHINES``."""
    yield from (_load(_ARCH), Instruction(0x15, 1, 0, MACHINES[machine]), _return(_KILL), _load(_NR))
    if machine == "x86_64":
        yield from (Instruction(0x35, 0, 1, _X32), _return(_KILL))
    yield from (Instruction(0x25, 0, 1, LAST), _return(_ENOSYS))
    column = tuple(MACHINES).index(machine)
    for numbers in REFUSED.values():
        number = numbers[column]
        if number is not None:
            yield from (_unless_equal(number, 1), _return(_EPERM))
    # Its flags lie in memory, where a filter cannot look; the C library takes the older call then.
    for number in (CHROOT[machine], _CLONE3):
        yield from (_unless_equal(number, 1), _return(_ENOSYS))
    yield from (_unless_equal(_CLONE[machine], 4), _load(_FIRST), Instruction(0x45, 0, 1, _NAMESPACES))
    yield from (_return(_EPERM), _return(_ALLOW))
    # A network of one's own does not cover every family: virtual machines talk to their host by one of them.
    for number in (_SOCKET[machine], _SOCKETPAIR[machine]):
        yield from (_unless_equal(number, 4), _load(_FIRST), _unless_equal(_AF_UNIX, 1))
        yield from (_return(_ALLOW), _return(_EPERM))
    yield _return(_ALLOW)


def filter_program(machine: str) -> bytes:
    """The same as bytes, for ``bwrap --seccomp``."""
    return b"".join(pack("<HBBI", *one) for one in instructions(machine))
