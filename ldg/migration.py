"""Checkpoints of older formats, brought into today's.

Format 1 named encoder and decoder apart, called a hierarchical model a ladder, and its KL schedule beta. Format 2 had
no marks among the drawn strokes. Format 3 did not tell a model without labels how its images were augmented. A format
is raised when names in the config or the weights change; a file that has one of the older ones is migrated as it is
read.
"""

import re
from collections.abc import Callable
from typing import Any

FORMAT = 4

_LADDER = {"beside": "merge", "into": "z_proj", "strength": "log_scale", "posterior": "posterior_params"}


def migrate(content: dict[str, Any]) -> dict[str, Any]:
    """Bring a checkpoint's content into today's format.

    Args:
        content: With a dict under ``ldg`` that has ``version`` and ``config``, and the weights under ``state_dict``. It
            is changed in place.

    Returns:
        The content.
    """
    about = content["ldg"]
    if about.get("version") == 1:
        is_ladder = "LadderVAE" in str(about["config"]["model"].get("_target_"))
        about["config"] = _config(about["config"])
        rename = _rename_weight(is_ladder, "DenseNetwork" in str(about["config"]["model"].get("network")))
        for states in _state_dicts(content):
            for name in list(states):  # reinserted in order
                states[rename(name)] = states.pop(name)
        about["version"] = 2
    if about.get("version") == 2:
        data = about["config"].get("data") or {}
        dataset = data.get("dataset") or {}
        if dataset.get("_target_") == "ldg.data.strokes.Strokes":
            about["config"] = about["config"] | {"data": data | {"dataset": dataset | {"marks": False}}}
        about["version"] = 3
    if about.get("version") == 3:
        model = about["config"].get("model") or {}
        if model.get("conditioning") == "none" and model.get("augment"):
            about["config"] = about["config"] | {"model": model | {"augment": 0.0}}
        about["version"] = 4
    return content


def migrate_config(config: dict[str, Any], version: int | None = None) -> dict[str, Any]:
    """Bring a run's config alone into today's words.

    Args:
        config: anybody's
        version: the format of its file; None: the names in it tell, since ``config.yaml`` of a run's folder has none

    Returns:
        The config; as it is if it is no run's.
    """
    try:
        if version is None:
            has_marks = "marks" in config["data"].get("dataset", {})
            version = 1 if "encoder" in config["model"] else FORMAT if has_marks else 2
        migrated: dict[str, Any] = migrate({"ldg": {"version": version, "config": config}})["ldg"]["config"]
    except (LookupError, TypeError, ValueError, AttributeError):
        return config
    return migrated


def _state_dicts(content: dict[str, Any]) -> list[dict[str, Any]]:
    """The weights, and those that weight averaging keeps beside them."""
    return [content[key] for key in ("state_dict", "current_model_state", "averaging_state") if key in content]


def _rename_weight(is_ladder: bool, is_dense: bool) -> Callable[[str], str]:
    def rename(name: str) -> str:
        name = re.sub(r"\bmodel\.(encoder|decoder)\.", r"model.network.\1.", name)
        if is_dense:
            name = re.sub(r"(network\.\w+)\.layers\.", r"\1.", name)
        if is_ladder:
            name = re.sub(r"(decoder\.stages\.\d+\.\d+)\.(\w+)\.", lambda m: f"{m[1]}.{_LADDER.get(m[2], m[2])}.", name)
        return name

    return rename


def _config(config: dict[str, Any]) -> dict[str, Any]:
    """A resolved run config of format 1 in today's words."""
    config = dict(config)
    config["model"] = _model(config["model"])
    scheduler = config.get("scheduler")
    if isinstance(scheduler, dict) and "scheduler" in scheduler:
        config["scheduler"] = _scheduler(scheduler)
    return config


def _scheduler(old: dict[str, Any]) -> dict[str, Any]:
    """Lightning's dict around a scheduler -> the scheduler, which knows its interval and monitor."""
    new = dict(old["scheduler"] or {})
    if new.get("_target_") == "torch.optim.lr_scheduler.ReduceLROnPlateau":
        new = {**new, "_target_": "ldg.training.schedulers.Plateau", "monitor": old.get("monitor", "val/loss")}
    return new


def _model(old: dict[str, Any]) -> dict[str, Any]:
    if "encoder" not in old:  # a judge
        return old
    new = {key: value for key, value in old.items() if key not in ("encoder", "decoder", "beta")}
    if "beta" in old:
        new["kl"] = old["beta"]
    encoder, decoder = dict(old["encoder"]), dict(old["decoder"])
    network = encoder | {"_target_": _NETWORKS[encoder["_target_"]]}
    if "ladder" in encoder["_target_"]:
        new["_target_"] = "ldg.models.vae.VAE"
        network["latent_channels"] = decoder.get("depths", [1, 2, 4])
    elif "conv" in encoder["_target_"]:
        network["latent_channels"] = network.pop("depth", 0)
    elif "reference" in encoder["_target_"]:
        kept = {key: value for key, value in decoder.items() if key not in ("_target_", "_partial_", "kernel", "std")}
        network |= {f"decoder_{key}": value for key, value in kept.items()}
    new["network"] = network
    if isinstance(prior := new.get("prior"), dict) and "depth" in prior:
        new["prior"] = {("latent_channels" if key == "depth" else key): value for key, value in prior.items()}
    return new


_NETWORKS = {
    "ldg.models.dense.DenseEncoder": "ldg.models.dense.DenseNetwork",
    "ldg.models.conv.ConvEncoder": "ldg.models.conv.ConvNetwork",
    "ldg.models.ladder.LadderEncoder": "ldg.models.hierarchical.HierarchicalNetwork",
    "ldg.models.reference.ReferenceEncoder": "ldg.models.reference.ReferenceNetwork",
}
