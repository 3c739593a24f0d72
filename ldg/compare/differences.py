"""What differs between runs: configs, versions of libraries, and the project's source."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ldg.runs.provenance import COMMIT, MAX_PATCH, difference
from ldg.runs.run import Run
from ldg.runs.select import ExportedRun

# keys that differ between any two runs, and say nothing of what they trained
LEFT_OUT = ("data.root", "data.cache", "data.download", "model.image_shape", "model.num_classes")
TWICE = re.compile(r"^model\.(?=(?:conditioning$|likelihood\.))")  # of groups of their own, which exports lack
PLACES = ("name", "folder", "outputs", "ckpt_path", "run", "sweep_name", "tags", "logger", "launcher", "choices")
# of what an ELBO is a bound: which images, and the probability of what
TASK = ("data.dataset.", "data.image", "data.limit", "likelihood.")


@dataclass(frozen=True)
class Table:
    """Values of several runs.

    Attributes:
        rows: a text for each run by key; empty where a run lacks the key
        constant: the text of the keys that are the same in all runs
        partial: as ``rows``, the keys that are the same in all runs but exports, which lack their group
    """

    rows: dict[str, list[str]]
    constant: dict[str, str]
    partial: dict[str, list[str]]


def _compare(values: Sequence[dict[str, str]], exported: Sequence[bool]) -> Table:
    """Sort keys by whether they differ. Runs without any value have no say, nor have exports on groups they lack."""
    groups = [{_group(key) for key in of_run} for of_run in values]
    table = Table({}, {}, {})
    for key in dict.fromkeys(key for of_run in values for key in of_run):
        lacking = [is_export and _group(key) not in own for is_export, own in zip(exported, groups, strict=True)]
        known = {of_run.get(key) for of_run, lacks in zip(values, lacking, strict=True) if of_run and not lacks}
        if len(known) > 1 or any(lacking):
            (table.rows if len(known) > 1 else table.partial)[key] = [of_run.get(key, "") for of_run in values]
        else:
            table.constant[key] = str(known.pop())
    return table


def _group(key: str) -> str:
    return key.partition(".")[0]


def compare_configs(runs: Sequence[Run]) -> Table:
    """Compare what runs trained, and how.

    Args:
        runs: any ones

    Returns:
        The values of config keys, without names and places; what a group gives to another one (the image's shape) once.
    """
    return _compare([describe(run) for run in runs], [isinstance(run, ExportedRun) for run in runs])


def describe(run: Run) -> dict[str, str]:
    """The values of a run's config that say what it trained, by their full names."""
    folder = run.config.get("folder")
    place = folder if isinstance(folder, str) and folder else None
    kept = {key: text for key, text in run.flat_config.items() if _group(key) not in PLACES}
    if kept.get("data.seed") == kept.get("seed"):  # which it follows
        kept.pop("data.seed", None)
    once = {TWICE.sub("", key): text for key, text in kept.items()}
    return {k: text for k, text in once.items() if not k.startswith(LEFT_OUT) and not (place and place in text)}


def is_seed(key: str) -> bool:
    """Whether a key of the config is a seed, which has no effect but chance."""
    return key.rpartition(".")[2] in ("seed", "val_seed")


def group_tasks(runs: Sequence[Run]) -> list[int | None]:
    """Group runs whose ELBO values can be compared, as far as the configs tell.

    Args:
        runs: any ones

    Returns:
        The number of each run's group, the same for the same data set and likelihood, whatever the seeds and the number
        of images of a class; None for a run without a config.
    """
    groups: dict[object, int] = {}

    def place(run: Run) -> int | None:
        task = frozenset(
            (key, text.rpartition(".")[2] if key.endswith("._target_") else text)  # wherever the class was then
            for key, text in run.flat_config.items()
            if key.startswith(TASK) and not is_seed(key) and not key.endswith("per_class")
        )
        return groups.setdefault(task, len(groups)) if run.config else None

    return [place(run) for run in runs]


def group_seeds(runs: Sequence[Run]) -> list[int]:
    """Group runs of the same code that differ in their seeds alone; one without a config is in a group of its own.

    Args:
        runs: any ones

    Returns:
        The number of each run's group, in the order in which they first appear.
    """
    groups: dict[object, int] = {}

    def place(run: Run) -> int:
        items = describe(run).items()
        common = frozenset((key, text) for key, text in items if not is_seed(key))
        code = (_commit(run.session), _changes(run.session))
        return groups.setdefault((common, code) if common else run, len(groups))

    return [place(run) for run in runs]


def compare_versions(runs: Sequence[Run]) -> Table:
    """Compare the versions of Python and the libraries in the last session of each run."""
    versions = [run.session.get("versions") for run in runs]
    known = [{k: str(v) for k, v in each.items()} if isinstance(each, dict) else {} for each in versions]
    return _compare(known, [False] * len(known))


@dataclass(frozen=True)
class Source:
    """The code of some runs.

    Attributes:
        commit: of the project, or empty
        runs: indices of the runs
        changes: what had not been committed, as a patch or in words; empty if nothing
        since: how the commit differs from that of the first source, as a patch or in words; empty for none
    """

    commit: str
    runs: list[int]
    changes: str
    since: str


def compare_sources(runs: Sequence[Run]) -> list[Source]:
    """Compare the code that runs were trained with.

    Args:
        runs: any ones; those of before the code was noted have no part

    Returns:
        Each code once, that of the first run first.
    """
    groups: dict[tuple[str, str], list[int]] = {}
    for index, run in enumerate(runs):
        if run.session:
            groups.setdefault((_commit(run.session), _changes(run.session)), []).append(index)
    first = next((commit for commit, _ in groups), "")
    return [
        Source(commit, members, changes, _since(first, commit) if commit != first else "")
        for (commit, changes), members in groups.items()
    ]


def _commit(session: dict[str, Any]) -> str:
    commit = session.get("commit")
    return commit if isinstance(commit, str) and COMMIT.fullmatch(commit) else ""


def _changes(session: dict[str, Any]) -> str:
    patch, size = session.get("patch"), session.get("patch_size")
    if isinstance(patch, str) and patch:
        return patch[:MAX_PATCH]
    return f"a patch of {size:,} characters, which was not kept" if isinstance(size, int) and size > 0 else ""


def _since(first: str, commit: str) -> str:
    """The difference between two commits, of a large one the files and the number of lines."""
    if not first or not commit:
        return "the commit of one of them is not known"
    patch = difference(first, commit)
    if patch is None:
        return "the commits are not in this repository"
    return patch if len(patch) <= MAX_PATCH else difference("--stat=120", first, commit) or ""
