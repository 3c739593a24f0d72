"""The LightningModules: one step, one epoch's averages, and what a checkpoint needs to stand alone."""

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from hydra.utils import instantiate
from pytorch_lightning.callbacks import Timer
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from ldg.checkpoint import build, count_parameters
from ldg.config.run_config import RunConfig
from ldg.errors import UserError, explain, one_line
from ldg.migration import FORMAT
from ldg.models.classifier import Classifier, ClassifierOutput
from ldg.models.inference import Loss
from ldg.models.vae import VAE
from ldg.training.footprint import require_model
from ldg.training.resume import relocate
from ldg.training.speed import count_steps

ACTIVE = 0.01  # a latent is active if its posterior mean varies more than this over the images (Burda et al. 2016)


class Averages:
    """Averages of the objective and the model's metrics over an epoch.

    Batches are kept on the device until the epoch ends, so that a step costs neither synchronisation nor arithmetic.

    Args:
        names: of the metrics
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.batches: list[tuple[Tensor, ...]] = []
        self.sums: Tensor | None = None

    def add(self, loss: Loss | ClassifierOutput) -> None:
        """Add a batch."""
        parts = loss.objective, *(loss.metrics[name] for name in self.names)
        self.batches.append(tuple(part.detach() for part in parts))

    def fold(self) -> Tensor | None:
        """Reduce the batches to sums.

        Returns:
            The sums so far of the objective and of each metric, and the number of images, float64; None before the
            first batch.
        """
        if self.batches:
            losses, *parts = zip(*self.batches, strict=True)
            counts = torch.tensor([len(part) for part in parts[0]], dtype=torch.float64, device=losses[0].device)
            sums = [torch.stack(losses).double() @ counts, *(torch.cat(part).double().sum() for part in parts)]
            new = torch.stack([*sums, counts.sum()])
            self.sums = new if self.sums is None else self.sums + new
            self.batches.clear()
        return self.sums

    def compute(self, split: str, trainer: pl.Trainer) -> dict[str, float]:
        """Average over the images of all processes, and start again.

        Args:
            split: ``train``, ``val`` or ``test``
            trainer: whose strategy sums over processes

        Returns:
            The averages by name, ``val/loss`` and so on; none if there was no batch.
        """
        if (sums := self.fold()) is None:
            return {}
        sums = trainer.strategy.reduce(sums, reduce_op="sum")
        self.sums = None
        *values, n = sums.tolist()
        return {f"{split}/{name}": value / n for name, value in zip(("loss", *self.names), values, strict=True)}


class TrainingModule(pl.LightningModule):
    """Trains a model whose ``loss(images, labels, epoch, generator)`` returns an ``objective`` and ``metrics``.

    Args:
        model: what is trained
        optimizer: a torch optimizer that lacks its parameters
        scheduler: a scheduler that lacks its optimizer, and ``total_steps`` if it has such an argument; None for a
            constant rate. Its attribute ``interval`` says when it steps, ``epoch`` (default) or ``step``, its attribute
            ``monitor`` which metric it is given
        config: of the run; it goes into the checkpoint
    """

    def __init__(
        self,
        model: VAE | Classifier,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: Callable[..., LRScheduler] | None,
        config: RunConfig,
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer = optimizer
        self.make_scheduler = scheduler
        self.run_config = config
        self.averages = {split: Averages(model.metric_names) for split in ("train", "val", "test")}
        self.metrics: dict[str, float] = {}  # of the validation, until the epoch ends
        self.reported: dict[str, float] = {}  # of the last whole epoch
        self._noise: torch.Generator | None = None

    def _generator(self, *key: int) -> torch.Generator:
        """Noise that depends on the seed and ``key`` alone: a resumed run draws what an uninterrupted one would."""
        if self._noise is None or self._noise.device != self.device:
            self._noise = torch.Generator(self.device)
        seed = self.run_config.seed
        for number in (*key, self.global_rank):
            seed = (seed * 0x9E3779B1 + number + 0x7F4A7C15) & 0xFFFFFFFF
        return self._noise.manual_seed(seed)

    @property
    def max_steps(self) -> int:
        """The budget of steps; -1: none."""
        return self.run_config.trainer.get("max_steps") or -1

    @property
    def epoch(self) -> float:
        """Epochs done, as a float."""
        return self.trainer.global_step / max(1, self.trainer.num_training_batches)  # infinite before the first

    def names(self, split: str) -> list[str]:
        """The names of what an epoch reports of a split: ``val/loss`` and the model's metrics."""
        return [f"{split}/{name}" for name in ("loss", *self.model.metric_names)]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        """Compute the objective of a batch of images and labels."""
        images, labels = batch
        loss = self.model.loss(images, labels, self.epoch, self._generator(1, self.trainer.global_step))
        self.averages["train"].add(loss)
        return loss.objective

    def on_train_batch_end(self, *args: Any) -> None:
        """Stop when the budget of steps is used up."""
        self._stop_after(self.trainer.global_step)

    def _stop_after(self, steps: int) -> None:
        """End training as at a limit of time: the epoch is validated, and a resumed run begins with the next one.

        Lightning's own ``max_steps`` does neither.
        """
        if 0 < self.max_steps <= steps:
            self.trainer.should_stop = True

    def on_train_epoch_end(self) -> None:
        """Log the metrics of training and validation, one record an epoch."""
        metrics = self.averages["train"].compute("train", self.trainer) | self.metrics
        self.metrics = {}
        metrics |= self.settings()
        self.reported = metrics
        self.log_dict(metrics, logger=False)
        for logger in self.loggers:
            position = {"epoch": self.current_epoch + 1, "seconds": self._seconds()}
            logger.log_metrics({**position, **metrics}, step=self.trainer.global_step)

    def _seconds(self) -> float:
        """The time of training so far, of a resumed run since its very start."""
        timer = next(c for c in self.trainer.callbacks if isinstance(c, Timer))  # type: ignore[attr-defined]
        return round(timer.time_elapsed("train"), 2)

    def settings(self) -> dict[str, float]:
        """Values that change during training and are logged with the metrics."""
        return {"lr": self.trainer.optimizers[0].param_groups[0]["lr"]}

    def evaluation_step(self, split: str, batch: tuple[Tensor, Tensor], batch_idx: int) -> Loss | ClassifierOutput:
        """Compute the objective of a batch of ``val`` or ``test``, and add it to the split's averages."""
        images, labels = batch
        # the same noise every epoch: a difference between epochs is the model's
        loss = self.model.loss(images, labels, self.epoch, self._generator(2, batch_idx))
        self.averages[split].add(loss)
        return loss

    def evaluation_end(self, split: str) -> dict[str, float]:
        """The averages of an evaluation of a split, and further metrics, by name."""
        return self.averages[split].compute(split, self.trainer)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """As :meth:`evaluation_step`."""
        self.evaluation_step("val", batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        """Keep the metrics until the epoch ends; callbacks get them now."""
        self.metrics = self.evaluation_end("val")
        self.log_dict(self.metrics, logger=False)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        """As :meth:`evaluation_step`."""
        self.evaluation_step("test", batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test."""
        metrics = self.evaluation_end("test")
        self.log_dict(metrics, logger=False)
        self.reported = self.reported | metrics
        for logger in self.loggers:
            logger.log_metrics(metrics, step=self.trainer.global_step)

    def configure_optimizers(self) -> Any:
        """The optimizer, and the scheduler with the interval and the metric that its class names."""
        optimizer = self.make_optimizer(self.parameters())
        if self.make_scheduler is None:
            return optimizer
        needs_length = "total_steps" in inspect.signature(self.make_scheduler).parameters
        length = {"total_steps": self._total_steps()} if needs_length else {}
        scheduler = self.make_scheduler(optimizer, **length)
        when = {"interval": getattr(scheduler, "interval", "epoch"), "monitor": getattr(scheduler, "monitor", None)}
        when["strict"] = False  # an epoch without validation leaves the rate as it is
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, **when}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip gradients, those of a fused optimizer in bfloat16 too."""
        plugin = self.trainer.precision_plugin
        if isinstance(plugin, MixedPrecision) and plugin.scaler is None and gradient_clip_val:
            # Lightning clips no fused optimizer's gradients in any mixed precision, though bfloat16's are not scaled
            algorithm = GradClipAlgorithmType(gradient_clip_algorithm or GradClipAlgorithmType.NORM)
            Precision.clip_gradients(plugin, optimizer, gradient_clip_val, algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def _total_steps(self) -> int:
        """Steps of the whole training.

        The trainer's own estimated_stepping_batches would set up the loaders before a resumed run has restored where
        in the epoch they were.
        """
        batches = len(self.trainer.datamodule.train_dataloader())  # type: ignore[attr-defined]
        steps = count_steps(self.trainer, batches, self.max_steps)
        if math.isinf(steps):
            raise UserError("trainer.max_epochs=-1: this scheduler needs an end; give a number or scheduler=none")
        return max(1, int(steps))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Add the config, the classes and the metrics, and the averages of an epoch that is not over."""
        checkpoint["ldg"] = {
            "version": FORMAT,
            "config": self.run_config.to_dict(),
            "classes": list(self.model.classes),
            "metrics": self.reported,
        }
        # a run stopped in mid-epoch goes on with the epoch's average so far
        checkpoint["ldg_averages"] = self.averages["train"].fold()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the averages and the metrics."""
        self.averages["train"].sums = checkpoint["ldg_averages"]
        self.reported = checkpoint["ldg"]["metrics"]
        self._stop_after(checkpoint["global_step"])
        relocate(checkpoint, self.run_config)


class VAEModule(TrainingModule):
    """Trains a :class:`VAE`; reports its active units and the weight of its KL term as well."""

    model: VAE

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._means: list[Tensor] = []

    def names(self, split: str) -> list[str]:
        """As :meth:`TrainingModule.names`, and the active units of an evaluation."""
        return [*super().names(split), *([f"{split}/active_units"] if split != "train" else [])]

    def settings(self) -> dict[str, float]:
        """The weight of the KL term and the learning rate."""
        return {"beta": self.model.objective.schedule.weight(self.epoch)} | super().settings()

    def evaluation_step(self, split: str, batch: tuple[Tensor, Tensor], batch_idx: int) -> Loss | ClassifierOutput:
        """As :meth:`TrainingModule.evaluation_step`; posterior means are kept for the active units."""
        loss = super().evaluation_step(split, batch, batch_idx)
        assert isinstance(loss, Loss)
        self._means.append(loss.inference.posterior.mean)
        return loss

    def evaluation_end(self, split: str) -> dict[str, float]:
        """The averages and the number of active units."""
        gathered = self.all_gather(torch.cat(self._means))
        assert isinstance(gathered, Tensor)
        self._means.clear()
        means = gathered.flatten(0, -2).double()
        active = means.var(0, correction=min(1, len(means) - 1)) > ACTIVE  # one image tells no variance: 0
        return super().evaluation_end(split) | {f"{split}/active_units": float(active.sum())}


def make_module(config: RunConfig, classes: tuple[str, ...]) -> TrainingModule:
    """Build the model and the module that trains it.

    The layout in memory is channels-last, the faster one for convolutions on CPU and GPU.

    Args:
        config: of the run
        classes: the name of each label, in order

    Raises:
        UserError: if the model or the optimizer refuses its arguments.
    """
    try:
        with count_parameters(require_model):
            model = build(config.model)
        model = model.to(memory_format=torch.channels_last)
        model.classes = classes
        optimizer = instantiate(config.optimizer)
        scheduler = instantiate(config.scheduler) if config.scheduler else None
        optimizer(model.parameters())  # a rate that it does not take is an error now
    except (ValueError, TypeError, RuntimeError) as error:
        raise explain(error) or UserError(one_line(error)) from None
    return (VAEModule if isinstance(model, VAE) else TrainingModule)(model, optimizer, scheduler, config)
