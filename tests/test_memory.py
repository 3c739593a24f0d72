"""How much memory is free, by what the system says of itself."""

import resource

import pytest

from ldg import memory

GB = 10**9


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A machine with 8 GB free, and no limits: a function that writes its files."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def write(**files):
        for name, text in files.items():
            path = tmp_path / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    write(proc__meminfo="MemTotal: 99 kB\nMemAvailable: 7812500 kB\n", proc__self__cgroup="0::/user/job\n")
    return write


def group(folder, limit, used, cached):
    return {f"{folder}/memory.max": limit, f"{folder}/memory.current": used, f"{folder}/memory.stat": cached}


def test_free_is_what_the_machine_has(system):
    assert memory.free_memory() == 8 * GB


def test_a_control_group_or_one_above_it_limits(system):
    system(**group("cgroup/user/job", "max\n", "5", "anon 1\n"))
    assert memory.free_memory() == 8 * GB
    system(**group("cgroup/user", f"{3 * GB}", f"{2 * GB}", f"anon 1\ninactive_file {GB}\n"))
    assert memory.free_memory() == 2 * GB  # cached files count as free


def test_a_control_group_of_version_1_seen_from_inside_a_container(system):
    system(
        **{
            "proc/self/cgroup": "5:cpu:/docker/1\n4:memory:/docker/1\n",
            "cgroup/memory/memory.limit_in_bytes": f"{2 * GB}",
            "cgroup/memory/memory.usage_in_bytes": f"{GB}",
            "cgroup/memory/memory.stat": "total_inactive_file 0\n",
        }
    )
    assert memory.free_memory() == GB


def test_the_limit_of_the_process_counts(system, monkeypatch):
    system(proc__self__statm="1000 9 9")
    monkeypatch.setattr(resource, "getrlimit", lambda _: (GB, GB))
    monkeypatch.setattr(memory.os, "sysconf", lambda _: 4096)
    assert memory.free_memory() == GB - 4_096_000


def test_more_than_half_of_it_is_refused(system):
    memory.require_memory(4 * GB, "a sheet", "make it smaller")
    with pytest.raises(memory.TooLarge) as error:
        memory.require_memory(5 * GB, "a sheet", "make it smaller")
    assert str(error.value) == (
        "a sheet would take about 5.0 GB of memory, more than half of the 8.0 GB that are free: make it smaller"
    )
