"""How much memory is free, and the refusal of what would need too large a part of it."""

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ldg.errors import UserError

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")


class TooLarge(UserError):
    """What would not fit into memory, or into the format of a file."""


def require_memory(size: float, what: str, remedy: str, share: float = 0.5, free: float | None = None) -> None:
    """Refuse what needs too large a part of the memory that is free.

    Args:
        size: bytes that are needed at once
        what: they are needed for
        remedy: what the user can make smaller
        share: of the free memory that it may need; what is mapped from a file may need all of it
        free: bytes that are free; None: those of this process

    Raises:
        TooLarge: that names the first three.
    """
    free = free_memory() if free is None else free
    if size > free * share:
        part = "half of " * (share == 0.5)
        raise TooLarge(
            f"{what} would take about {size / 1e9:,.1f} GB of memory, more than {part}the {free / 1e9:,.1f} GB "
            f"that are free: {remedy}"
        )


def free_memory() -> float:
    """Bytes that this process can still allocate: those of the machine, its control groups and its own limit.

    Infinite where the system does not say.
    """
    return max(0.0, min(_of_machine(), *_of_groups(), _of_process()))


def _of_machine() -> float:
    with suppress(OSError):
        for line in (PROC / "meminfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("MemAvailable:"):
                return 1024 * int(line.split()[1])
    with suppress(AttributeError, ValueError, OSError):  # not Linux: all there is, since nothing says what is used
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return float("inf")


def _of_groups() -> Iterator[float]:
    """What each control group above this process leaves; containers and clusters limit memory by these."""
    yield float("inf")
    with suppress(OSError):
        for line in (PROC / "self/cgroup").read_text(encoding="utf-8").splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "memory":
                base, names = CGROUPS / "memory", ("limit_in_bytes", "usage_in_bytes", "total_inactive_file")
            elif not controllers:
                base, names = CGROUPS, ("max", "current", "inactive_file")
            else:
                continue
            limit, used, cached = names
            # inside a container the path may be the host's: then only the folder at the top is there
            folder = base / path.lstrip("/")
            for group in (folder, *folder.parents):
                if group.is_relative_to(base):
                    with suppress(OSError, ValueError):  # "max", or no such file
                        most, now = (
                            int((group / f"memory.{name}").read_text(encoding="utf-8")) for name in (limit, used)
                        )
                        yield most - now + _cached(group, cached)


def _cached(group: Path, key: str) -> int:
    """Bytes of cached files, which the system drops first."""
    lines = (group / "memory.stat").read_text(encoding="utf-8").splitlines()
    return next((int(line.split()[1]) for line in lines if line.split()[0] == key), 0)


def _of_process() -> float:
    """What ``ulimit -v`` leaves."""
    with suppress(ImportError, OSError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int((PROC / "self/statm").read_text(encoding="utf-8").split()[0])
            return limit - pages * os.sysconf("SC_PAGE_SIZE")
    return float("inf")
