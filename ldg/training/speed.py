"""What makes a step faster on the machine at hand: bfloat16 where the hardware has it, torch.compile by a trial."""

import copy
import hashlib
import json
import math
import statistics
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any

import pytorch_lightning as pl
import torch

from ldg.config.run_config import RunConfig
from ldg.data.cache import cache_folder
from ldg.data.module import ImageDataModule
from ldg.errors import UserError, one_line
from ldg.files import read_inside, write_text

PAYS_FROM = 600.0  # seconds of training; compiling takes a minute or more, and saves a few per cent to a third
GAIN = 0.95  # a compiled step that takes more of the time is not worth it
STEPS = 7


def choose_precision(trainer: Mapping[str, Any]) -> Any:
    """Choose the precision that a run computes in.

    Args:
        trainer: its constructor call

    Returns:
        ``trainer.precision``; in the place of ``auto`` ``bf16-mixed`` where the device multiplies bfloat16 in hardware,
        and ``32-true`` elsewhere.
    """
    if trainer.get("precision") != "auto":
        return trainer.get("precision")
    accelerator = trainer.get("accelerator", "auto")
    if accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available():
        has_bfloat16 = torch.cuda.is_bf16_supported(including_emulation=False)
    elif accelerator == "cpu" or not torch.accelerator.is_available():
        capabilities = torch.cpu.get_capabilities()
        has_bfloat16 = capabilities.get("avx512_bf16", False) or capabilities.get("amx_bf16", False)
    else:
        has_bfloat16 = False
    return "bf16-mixed" if has_bfloat16 else "32-true"


def should_compile(config: RunConfig, model: Any, data: ImageDataModule, trainer: pl.Trainer) -> bool:
    """Decide whether the networks are compiled.

    ``compile=auto`` tries both on a copy of the model where training takes ten minutes or more. What came out is kept
    in the cache folder, so that the same run on the same machine is always trained in the same way.

    Args:
        config: of the run
        model: on the CPU
        data: what it is trained on
        trainer: for device, precision and length

    Returns:
        ``config.compile``, or what the trial says.
    """
    if config.compile != "auto":
        return config.compile
    device, count = trainer.strategy.root_device, min(len(data.train), data.batch_size)
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else torch.cpu.get_capabilities().get("cpu_name")
    threads = torch.get_num_threads()
    setting = [config.model, count, str(trainer.precision), device.type, name, threads, torch.__version__]
    key = hashlib.sha256(json.dumps(setting, sort_keys=True).encode()).hexdigest()[:16]
    folder = cache_folder(config.data.get("cache")) / "compile"
    batches = math.ceil(len(data.train) / (data.batch_size * trainer.world_size))
    steps = count_steps(trainer, batches, config.trainer.get("max_steps") or -1)
    try:
        times = json.loads(read_inside(folder / f"{key}.json", folder, 10**4))
        return bool(steps * times["eager"] >= PAYS_FROM and times["compiled"] < GAIN * times["eager"])
    except (UserError, OSError, ValueError, LookupError, TypeError):
        pass  # none, or not one of ours
    rows = data.train.indices[:count]
    batch = data.train.images[rows].to(device), data.train.all_labels[rows].to(device)
    trial = copy.deepcopy(model).to(device).train()

    def report(result: str) -> None:
        if trainer.is_global_zero:
            print(f"compile=auto: {result}", file=sys.stderr)

    context = trainer.precision_plugin.forward_context
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
        eager = time_step(trial, batch, context)
        if steps * eager < PAYS_FROM:
            return False
        try:
            trial.compile()
            compiled = time_step(trial, batch, context)
        except Exception as error:
            report(f"not compiled; {one_line(error).partition(' Set TORCHDYNAMO')[0]}")
            return False
    pays = compiled < GAIN * eager
    choice = "compiled" if pays else "not compiled"
    report(f"a step takes {1000 * eager:.0f} ms, compiled {1000 * compiled:.0f} ms: {choice}")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_text(folder / f"{key}.json", json.dumps({"eager": eager, "compiled": compiled}))
    except (UserError, OSError):
        pass  # measured anew next time
    return pays


def time_step(
    model: Any, batch: tuple[torch.Tensor, torch.Tensor], context: Callable[[], AbstractContextManager[Any]]
) -> float:
    """Time forward and backward passes.

    Args:
        model: in training mode; its batch statistics change, its weights do not
        batch: images and labels, on the model's device
        context: makes the context manager of the precision

    Returns:
        Median seconds of a few, the first two left out.
    """
    seconds = []
    for _ in range(STEPS):
        start = time.perf_counter()
        with context():
            objective = model.loss(*batch).objective
        objective.backward()
        model.zero_grad()
        if batch[0].device.type != "cpu":
            torch.accelerator.synchronize()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds[2:])


def count_steps(trainer: pl.Trainer, batches: int, max_steps: int) -> float:
    """Count the steps of a whole training.

    Args:
        trainer: whose limits of epochs and batches hold
        batches: of the data in an epoch
        max_steps: the budget of steps; -1: none

    Returns:
        The number of steps; infinite without any limit.
    """
    limit = trainer.limit_train_batches
    batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
    steps = math.inf
    if trainer.max_epochs is not None and trainer.max_epochs >= 0:
        steps = math.ceil(batches / trainer.accumulate_grad_batches) * trainer.max_epochs
    return steps if max_steps < 0 else min(steps, max_steps)
