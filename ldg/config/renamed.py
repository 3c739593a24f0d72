"""Names that users may still type from older versions, and what they are called now."""

import re
import sys

# a key, or the beginning of one
KEYS = {
    "model.encoder.depth": "model.network.latent_channels",
    "model.decoder.depths": "model.network.latent_channels",
    "model.decoder.depth": "model.network.latent_channels",
    "model.prior.depth": "model.network.latent_channels",
    "model.decoder.hidden": "model.network.decoder_hidden (reference) or model.network.hidden",
    "model.decoder.channels": "model.network.decoder_channels (reference) or model.network.channels",
    "model.decoder.first": "model.network.decoder_first",
    "model.decoder.strides": "model.network.decoder_strides",
    "model.decoder.norm_first": "model.network.decoder_norm_first",
    "model.decoder.norm_last": "model.network.decoder_norm_last",
    "model.encoder": "model.network",
    "model.decoder": "model.network",
    "model/beta": "model/kl",
    "model.beta": "model.kl",
    "scheduler.scheduler": "scheduler",
    "reads": "class_accuracy",
    # the names of Hydra's own sweeper for Optuna
    "hydra.sweeper.n_trials": "hydra.sweeper.study.trials",
    "hydra.sweeper.n_jobs": "launcher.n_jobs",
    "hydra.sweeper.max_failure_rate": "hydra.sweeper.study.max_failures",
    "hydra.sweeper.direction": "hydra.sweeper.objectives",
    "hydra.sweeper.search_space": "hydra.sweeper.params",
    "hydra.sweeper.study_name": "sweep_name",
    "hydra.sweeper.storage": "hydra.sweeper.study.storage",
    "hydra.sweeper.sampler": "hydra.sweeper.study.sampler",
    "hydra.sweeper.pruner": "hydra.sweeper.study.pruner",
    "hydra.launcher.n_jobs": "launcher.n_jobs",
}
# choices of a group
CHOICES = {
    ("model", "ladder_cvae"): "hierarchical_cvae",
    ("model/kl", "half"): "weak",
    ("callbacks", "averaged"): "default",
}


def new_key(key: str) -> str | None:
    """The present name of a key.

    Args:
        key: as on a command line, with or without ``+``, ``++`` or ``~`` before it

    Returns:
        The key's new name; None if the key has not been renamed.
    """
    key = key.lstrip("+~")
    for old, new in KEYS.items():  # the longest come first
        if key == old or key.startswith((f"{old}.", f"{old}@")):
            return new + key[len(old) :]
    return None


def replace_choices(arguments: list[str]) -> list[str]:
    """A command line with old choices of groups replaced, a sweep's too; each replacement is printed to stderr."""
    replaced = []
    for argument in arguments:
        key, equals, value = argument.partition("=")
        for (group, old), new in CHOICES.items():
            if key == group and re.search(pattern := rf"(?<![\w.-]){old}(?![\w.-])", value):
                value = re.sub(pattern, new, value)
                print(f"{group}={old} is now {group}={new}", file=sys.stderr)
        replaced.append(f"{key}{equals}{value}")
    return replaced
