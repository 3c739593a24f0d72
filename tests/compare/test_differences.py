"""What differs between runs: configs, groups of seeds, versions, and the project's source."""

import pytest

from ldg.checkpoint import SHIPPED
from ldg.compare.differences import compare_configs, compare_sources, compare_versions, group_seeds, group_tasks
from ldg.runs.provenance import MAX_PATCH
from ldg.runs.run import Run
from ldg.runs.select import find_runs
from tests.compare import made
from tests.runs import TINY, configured
from tests.test_runs import repository  # noqa: F401  (a fixture)


def sessions(folder, *sessions):
    return [Run(made.run(folder, "x", i, session=session)) for i, session in enumerate(sessions)]


def test_only_what_was_trained_differs(tmp_path):
    one = Run(made.run(tmp_path, "a", 0, tags=["x"], callbacks={"path": str(tmp_path / "a" / "run-0" / "x.csv")}))
    two = Run(made.run(tmp_path, "b", 1, model__latent_dim=16, seed=1, extra={"list": [1, None]}))
    table = compare_configs([one, two])
    assert table.rows == {
        "model.latent_dim": ["4", "16"],
        "seed": ["0", "1"],
        "extra.list": ["", "[1, null]"],
    }
    assert table.constant["model.network.channels"] == "[8, 16]" and table.constant["optimizer.lr"] == "0.001"
    assert not {"name", "folder", "choices.data", "callbacks.path", "tags"} & table.constant.keys()
    broken = Run(tmp_path / "nothing")
    assert compare_configs([one, broken]).rows == {}  # who has no config has no say
    assert compare_configs([broken]).constant == {}


def test_an_export_is_compared_by_the_groups_that_it_has(tmp_path):
    call = {"_target_": "ldg.models.likelihoods.Bernoulli", "binarize": "none"}
    groups = {"likelihood": call, "conditioning": "both", "trainer": {"max_epochs": 3}, "callbacks": {"gallery": None}}
    model = {"likelihood": dict(call), "conditioning": "both", "latent_dim": 32}
    runs = [Run(made.run(tmp_path, "a", i, model=model, optimizer={"lr": i}, **groups)) for i in (0, 1)]
    table = compare_configs([*runs, *find_runs([str(SHIPPED)])])
    assert table.rows["optimizer.lr"] == ["0", "1", ""]
    assert table.rows["model.network.hidden"] == ["", "", "256"]  # of a group that it has
    assert table.partial == {"trainer.max_epochs": ["3", "3", ""], "callbacks.gallery": ["null", "null", ""]}
    assert table.constant["model.latent_dim"] == "32" and table.constant["conditioning"] == "both"
    assert table.constant["likelihood.binarize"] == "none"  # exports have it in the model alone


def test_runs_that_differ_in_their_seeds_alone_are_a_group(tmp_path):
    kinds = [{"seed": 0}, {"seed": 1}, {"seed": 1, "model__latent_dim": 16}, {"seed": 2, "data__val_seed": 3}]
    runs = [Run(made.run(tmp_path, "x", i, **kind)) for i, kind in enumerate(kinds)]
    broken = [Run(tmp_path / "no"), Run(tmp_path / "no2")]
    changed = [Run(made.run(tmp_path, "x", i, session={"commit": "a" * 40, "patch": i * "+"})) for i in (4, 5)]
    assert group_seeds([*runs, *broken, *changed]) == [0, 0, 1, 0, 2, 3, 4, 5]  # of other code


def test_runs_of_the_same_data_and_likelihood_have_elbos_that_compare(tmp_path):
    bernoulli = {"likelihood__binarize": "none", "likelihood__seed": 0}
    kinds = [
        bernoulli,
        bernoulli | {"seed": 1, "likelihood__seed": 1, "model__latent_dim": 16, "data__dataset__per_class": 100},
        bernoulli | {"likelihood__binarize": "dynamic"},
        {"likelihood__variance": "learned"},
        bernoulli | {"data": "emnist"},
        bernoulli | {"data__limit": 100},
    ]
    runs = [Run(made.run(tmp_path, "x", i, **kind)) for i, kind in enumerate(kinds)]
    assert group_tasks([*runs, Run(tmp_path / "no")]) == [0, 0, 1, 2, 3, 4, None]


def test_configs_of_ldg_are_grouped_by_seeds(tmp_path):
    """No key of a real config besides the seeds depends on the seed, or on the run's own folder."""
    runs = []
    for line in (["seed=0"], ["seed=1"], ["seed=1", "model.latent_dim=5"]):
        config = configured(*TINY, "logger=csv", *line, f"outputs={tmp_path}")
        folder = tmp_path / str(len(runs))
        folder.mkdir()
        made.write(folder / "config.yaml", config.to_dict())
        runs.append(Run(folder))
    assert group_seeds(runs) == [0, 0, 1]
    assert compare_configs(runs[1:]).rows == {"model.latent_dim": ["4", "5"]}


def test_versions_that_differ(tmp_path):
    versions = [{"torch": "2.11", "numpy": "2.4"}, {"torch": "2.15", "numpy": "2.4"}, {}, "none"]
    table = compare_versions(sessions(tmp_path, *({"versions": each} for each in versions)))
    assert table.rows == {"torch": ["2.11", "2.15", "", ""]} and table.constant == {"numpy": "2.4"}


def test_the_source_of_each_run(tmp_path, repository):  # noqa: F811
    folder, git = repository
    first = git("rev-parse", "HEAD").strip()
    (folder / "model.py").write_text("width = 2\n")
    git("commit", "-qam", "second")
    second = git("rev-parse", "HEAD").strip()
    runs = sessions(
        tmp_path,
        {"commit": first},
        {"commit": second},
        {"commit": first, "patch": ""},
        {"commit": first, "patch": "+width = 3", "patch_size": 10},
        {"commit": second, "patch": "", "patch_size": 300_000},
        {"commit": "0" * 40},
    )
    old = Run(made.run(tmp_path, "old", 9))
    (old.folder / "source.json").unlink()
    sources = compare_sources([*runs, old])
    assert [(s.commit, s.runs, s.changes) for s in sources] == [
        (first, [0, 2], ""),
        (second, [1], ""),
        (first, [3], "+width = 3"),
        (second, [4], "a patch of 300,000 characters, which was not kept"),
        ("0" * 40, [5], ""),
    ]
    since = [source.since for source in sources]
    assert "-width = 1\n+width = 2" in since[1] and since[0] == since[2] == ""
    assert since[4] == "the commits are not in this repository"


def test_a_large_difference_is_named_by_its_files(tmp_path, repository):  # noqa: F811
    folder, git = repository
    first = git("rev-parse", "HEAD").strip()
    (folder / "model.py").write_text("".join(f"width_{i} = {i}\n" for i in range(20_000)))
    git("commit", "-qam", "second")
    second = git("rev-parse", "HEAD").strip()
    _, source = compare_sources(sessions(tmp_path, {"commit": first}, {"commit": second}))
    assert "model.py | 20001 ++" in source.since and len(source.since) < 1000


@pytest.mark.parametrize("commit", ["--output=x", "HEAD", "main", "a" * 6, "g" * 40, 5, None, ["a"], "../x"])
def test_a_commit_is_a_hash(commit, tmp_path, repository):  # noqa: F811
    folder, git = repository
    runs = sessions(tmp_path, {"commit": git("rev-parse", "HEAD").strip()}, {"commit": commit, "patch": "x" * 300_000})
    _, source = compare_sources(runs)
    assert source.commit == "" and source.since == "the commit of one of them is not known"
    assert len(source.changes) == MAX_PATCH and not (folder / "x").exists()
