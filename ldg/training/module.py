"""The LightningModules: one step, one epoch's averages, and what a checkpoint needs to stand alone."""

import math
from collections.abc import Callable
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.precision import MixedPrecision, Precision
from pytorch_lightning.utilities import GradClipAlgorithmType
from torch import Tensor

from ldg.checkpoint import VERSION
from ldg.errors import UserError
from ldg.models.classifier import Classifier, Verdict
from ldg.models.vae import VAE, Loss
from ldg.training.resume import relocate

ACTIVE = 0.01  # a latent is active if its posterior mean varies more than this over the images (Burda et al. 2016)


class Averages:
    """A loss and its parts over an epoch, kept on the device: a step costs no synchronisation, nor arithmetic."""

    def __init__(self) -> None:
        self.kept: list[tuple[Tensor, ...]] = []
        self.sums: Tensor | None = None

    def add(self, loss: Loss | Verdict) -> None:
        self.kept.append(tuple(part.detach() for part in (loss.loss, *loss.parts)))

    def fold(self) -> Tensor | None:
        """The sums so far of the loss, its parts and the number of images, float64; None before the first."""
        if self.kept:
            losses, *parts = zip(*self.kept, strict=True)
            counts = torch.tensor([len(part) for part in parts[0]], dtype=torch.float64, device=losses[0].device)
            sums = [torch.stack(losses).double() @ counts, *(torch.cat(part).double().sum() for part in parts)]
            new = torch.stack([*sums, counts.sum()])
            self.sums = new if self.sums is None else self.sums + new
            self.kept.clear()
        return self.sums

    def compute(self, names: list[str], trainer: pl.Trainer) -> dict[str, float]:
        """The averages so far, per image, over all processes; the sums begin anew."""
        if (sums := self.fold()) is None:
            return {}
        sums = trainer.strategy.reduce(sums, reduce_op="sum")
        self.sums = None
        *values, n = sums.tolist()
        return {name: value / n for name, value in zip(names, values, strict=True)}


class TrainingModule(pl.LightningModule):
    """Trains a model whose ``loss(images, labels, epoch, generator)`` has a ``loss`` and the ``parts`` it ``reports``.

    ``optimizer`` takes parameters, ``scheduler`` is Lightning's scheduler config whose ``scheduler`` takes an optimizer
    (and ``total_steps``, if it asks for it), ``config`` is the resolved run config that goes into the checkpoint.
    """

    def __init__(
        self,
        model: VAE | Classifier,
        optimizer: Callable[..., torch.optim.Optimizer],
        scheduler: dict[str, Any],
        config: dict[str, Any],
    ) -> None:
        super().__init__()
        self.model = model
        self.make_optimizer = optimizer
        self.scheduler = scheduler
        self.run_config = config
        self.averages = {"train": Averages(), "val": Averages(), "test": Averages()}
        self.metrics: dict[str, float] = {}  # of the validation, until the epoch ends
        self.reported: dict[str, float] = {}  # of the last whole epoch
        self._noise: torch.Generator | None = None

    def __setattr__(self, name: str, value: Any) -> None:
        # Lightning notes the running hook dozens of times a step; nn.Module's way to set an attribute takes 10 us each
        if name == "_current_fx_name":
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    def _generator(self, *key: int) -> torch.Generator:
        """Noise that depends on the seed and ``key`` alone: a resumed run draws what an uninterrupted one would."""
        if self._noise is None or self._noise.device != self.device:
            self._noise = torch.Generator(self.device)
        seed = self.run_config["seed"]
        for number in (*key, self.global_rank):
            seed = (seed * 0x9E3779B1 + number + 0x7F4A7C15) & 0xFFFFFFFF
        return self._noise.manual_seed(seed)

    @property
    def epoch(self) -> float:
        """Epochs done, as a float."""
        return self.trainer.global_step / max(1, int(self.trainer.num_training_batches))

    def names(self, split: str) -> list[str]:
        """What an epoch reports of a split."""
        return [f"{split}/{name}" for name in ("loss", *self.model.reports)]

    def training_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> Tensor:
        images, labels = batch
        loss = self.model.loss(images, labels, self.epoch, self._generator(1, self.trainer.global_step))
        self.averages["train"].add(loss)
        return loss.loss

    def on_train_epoch_end(self) -> None:
        metrics = self.averages["train"].compute(self.names("train"), self.trainer) | self.metrics
        self.metrics = {}
        metrics |= self.settings()
        self.reported = metrics
        self.log_dict(metrics, logger=False)
        for logger in self.loggers:
            # one record an epoch, instead of Lightning's two
            logger.log_metrics({"epoch": self.current_epoch + 1, **metrics}, step=self.trainer.global_step)

    def settings(self) -> dict[str, float]:
        """What changes while it trains."""
        return {"lr": self.trainer.optimizers[0].param_groups[0]["lr"]}

    def evaluation_step(self, split: str, batch: tuple[Tensor, Tensor], batch_idx: int) -> Loss | Verdict:
        images, labels = batch
        # the same noise every epoch: a difference between epochs is the model's
        loss = self.model.loss(images, labels, self.epoch, self._generator(2, batch_idx))
        self.averages[split].add(loss)
        return loss

    def evaluation_end(self, split: str) -> dict[str, float]:
        """The averages of an evaluation, and what else it tells."""
        return self.averages[split].compute(self.names(split), self.trainer)

    def validation_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.evaluation_step("val", batch, batch_idx)

    def on_validation_epoch_end(self) -> None:
        self.metrics = self.evaluation_end("val")
        self.log_dict(self.metrics, logger=False)

    def test_step(self, batch: tuple[Tensor, Tensor], batch_idx: int) -> None:
        self.evaluation_step("test", batch, batch_idx)

    def on_test_epoch_end(self) -> None:
        metrics = self.evaluation_end("test")
        self.log_dict(metrics, logger=False)
        self.reported = self.reported | metrics
        for logger in self.loggers:
            logger.log_metrics(metrics, step=self.trainer.global_step)

    def configure_optimizers(self) -> Any:
        optimizer = self.make_optimizer(self.parameters())
        if self.scheduler.get("scheduler") is None:
            return optimizer
        make = self.scheduler["scheduler"]
        needs_length = "total_steps" in make.func.__init__.__code__.co_varnames
        length = {"total_steps": self._total_steps()} if needs_length else {}
        return {"optimizer": optimizer, "lr_scheduler": {**self.scheduler, "scheduler": make(optimizer, **length)}}

    def configure_gradient_clipping(
        self, optimizer: Any, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
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
        trainer = self.trainer
        if trainer.max_epochs is None or trainer.max_epochs < 0:
            raise UserError("trainer.max_epochs=-1: this scheduler needs an end; give a number or scheduler=none")
        batches, limit = len(trainer.datamodule.train_dataloader()), trainer.limit_train_batches  # type: ignore[attr-defined]
        batches = min(batches, limit) if isinstance(limit, int) else int(batches * limit)
        steps = math.ceil(batches / trainer.accumulate_grad_batches) * trainer.max_epochs
        return max(1, steps if trainer.max_steps < 0 else min(steps, trainer.max_steps))

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        facts = {"config": self.run_config, "classes": list(self.model.classes), "metrics": self.reported}
        checkpoint["ldg"] = {"version": VERSION, **facts}
        # a run stopped in mid-epoch goes on with the epoch's average so far
        checkpoint["ldg_averages"] = self.averages["train"].fold()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self.averages["train"].sums = checkpoint["ldg_averages"]
        self.reported = checkpoint["ldg"]["metrics"]
        relocate(checkpoint, self.run_config["folder"])


class VAEModule(TrainingModule):
    """Trains a :class:`VAE`; reports its active units and the weight of its KL term besides."""

    model: VAE

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._means: list[Tensor] = []

    def settings(self) -> dict[str, float]:
        return {"beta": self.model.beta.weight(self.epoch)} | super().settings()

    def evaluation_step(self, split: str, batch: tuple[Tensor, Tensor], batch_idx: int) -> Loss | Verdict:
        loss = super().evaluation_step(split, batch, batch_idx)
        assert isinstance(loss, Loss)
        self._means.append(loss.posterior.mean)
        return loss

    def evaluation_end(self, split: str) -> dict[str, float]:
        gathered = self.all_gather(torch.cat(self._means))
        assert isinstance(gathered, Tensor)
        self._means.clear()
        active = gathered.flatten(0, -2).double().var(0) > ACTIVE
        return super().evaluation_end(split) | {f"{split}/active_units": float(active.sum())}
