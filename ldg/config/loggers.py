"""What the loggers of a run need from the machine: packages, and W&B's environment variables."""

import os
import re
from importlib.util import find_spec
from typing import Any

from pydantic import ValidationError

from ldg.errors import UserError, missing_package

# packages of which a logger needs one
PACKAGES = {
    "TensorBoardLogger": ("tensorboard", "tensorboardX"),
    "TrackioRun": ("trackio",),
    "MlflowRun": ("mlflow",),
}
# characters that W&B's server takes; its client checks the other variables
LONGEST = {"WANDB_NAME": 128, "WANDB_RUN_GROUP": 128, "WANDB_RUN_ID": 128, "WANDB_JOB_TYPE": 64}


def check_loggers(config: dict[str, Any]) -> None:
    """Check what the loggers of a run need from the machine, without importing them.

    Args:
        config: of the run

    Raises:
        UserError: for the first thing that is missing or wrong.
    """
    for name, call in config["logger"].items():
        arguments = call or {}
        kind = str(arguments.get("_target_")).rpartition(".")[2]
        packages = PACKAGES.get(kind, ())
        if packages and not any(map(find_spec, packages)):
            raise UserError(f"logger.{name}: {missing_package(packages[0])}")
        if kind == "WandbRun":
            check_wandb_environment()


def check_wandb_environment() -> None:
    """Check the environment variables that W&B reads, by W&B itself, which else breaks at them when a run starts.

    Raises:
        UserError: that names the variable, but no value that may be a secret.
    """
    for variable, value in sorted(os.environ.items()):
        if not variable.startswith("WANDB_"):
            continue
        import wandb  # half a second, and nothing to check without such variables

        try:
            wandb.Settings().update_from_env_vars({variable: value})
        except (ValidationError, wandb.errors.UsageError, TypeError, ValueError) as error:
            message = error.errors()[0]["msg"] if isinstance(error, ValidationError) else str(error)
        else:
            longest = LONGEST.get(variable, len(value))
            message = f"Input should be text of at most {longest} characters" if len(value) > longest else ""
        if message:
            secret = re.search("KEY|TOKEN|PROXY|HEADERS|@", f"{variable}={value}")
            shown = variable if secret else f"{variable}={value}"
            raise UserError(
                f"{shown}: {' '.join(message.removeprefix('Input ').removeprefix('Value error, ').split())}"
            )
