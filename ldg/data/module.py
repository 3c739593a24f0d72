"""Batches for training: one Lightning data module for every data set."""

import warnings
from collections.abc import Callable
from typing import Annotated, Any, Self

import pytorch_lightning as pl
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor
from torch.utils import data

from ldg.data.dataset import Dataset, Split
from ldg.data.sampling import BatchIndexSampler
from ldg.data.splits import Batch, ImageSplits, ImageSubset
from ldg.errors import UserError


class ImageLoader(data.DataLoader):
    """A DataLoader whose sampler yields whole batches, and which can resume in the middle of an epoch.

    Lightning keeps the loader's state in its checkpoints.

    Args:
        subset: the images
        sampler: yields the indices of each batch
        batches_done: returns the number of batches of this epoch that have been trained on
    """

    def __init__(self, subset: ImageSubset, sampler: BatchIndexSampler, batches_done: Callable[[], int]) -> None:
        super().__init__(subset, sampler=sampler, batch_size=None, collate_fn=_keep_batch)  # type: ignore[arg-type]
        self.batches_done = batches_done

    def state_dict(self) -> dict[str, int]:
        """The number of batches of this epoch that have been trained on."""
        return {"batches_done": self.batches_done() % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Begin the next epoch after the batches that have been trained on.

        Args:
            state: as ``state_dict`` returns it
        """
        self.sampler.start = state["batches_done"]  # type: ignore[attr-defined]


def _keep_batch(batch: Batch) -> Batch:
    return batch


class ImageDataModule(ImageSplits, pl.LightningDataModule):
    """The train, val and test batches of a data set, as bytes.

    On a CUDA device every array is moved there once and indexed there.

    Args:
        dataset: the data set
        image_shape: (C, H, W) of an image
        num_classes: number of classes; models are built for both, and both must agree with the data set
        root: folder of the data sets' files; nothing is written there, except downloads
        cache: folder for decoded arrays; None: the user's cache folder
        download: whether missing files are downloaded into ``root``
        batch_size: images per batch and process
        val_fraction: share of the training images in ``val``, unless the data set has a ``val`` split
        val_seed: chooses these images
        limit: at most so many images of each split that the data set has, with the same share of every class; None: all
        seed: with the epoch, determines the order of the training images
        shuffle: False: the same order of training images in every epoch
        balance: 0: classes are as frequent as in the data set; 1: all classes equally frequent; in general, training
            images are sampled with replacement, with weights (number of images of their class) ** -balance
        aliases: keys in ``configs/data`` that the data set's arguments refer to; they have no effect of their own

    Raises:
        UserError: as for :class:`ldg.data.splits.ImageSplits`.
    """

    def __init__(
        self,
        dataset: Dataset,
        image_shape: tuple[PositiveInt, PositiveInt, PositiveInt],
        num_classes: PositiveInt,
        root: str = "data",
        cache: str | None = None,
        download: bool = True,
        batch_size: PositiveInt = 128,
        val_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.1,
        val_seed: NonNegativeInt = 0,
        seed: NonNegativeInt = 0,
        shuffle: bool = True,
        balance: Annotated[float, Field(ge=0, le=1)] = 0.0,
        limit: PositiveInt | None = None,
        **aliases: Any,
    ) -> None:
        pl.LightningDataModule.__init__(self)
        places = (root, cache, download)
        ImageSplits.__init__(self, dataset, image_shape, num_classes, *places, val_fraction, val_seed, limit)
        self.batch_size, self.shuffle, self.seed, self.balance = batch_size, shuffle, seed, balance
        self._on_device: dict[str, Tensor] = {}  # images on a CUDA device, by their split

    def with_training_images(self, images: Tensor) -> Self:
        """As :meth:`ldg.data.splits.ImageSplits.with_training_images`."""
        new = super().with_training_images(images)
        new._on_device = {}
        return new

    def setup(self, stage: str) -> None:
        """Refuse ``overfit_batches``, for which Lightning replaces the sampler with one of single images.

        Args:
            stage: ``fit``, ``validate``, ``test`` or ``predict``

        Raises:
            UserError: if the trainer has ``overfit_batches``.
        """
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]
            raise UserError("trainer.overfit_batches: use trainer.limit_train_batches with data.shuffle=false instead")

    def train_dataloader(self) -> ImageLoader:
        """Batches of ``train``, ordered by seed and epoch, or in the data set's order without ``shuffle``."""
        labels = self.train.labels
        weights = labels.bincount()[labels].double() ** -self.balance if self.balance and self.shuffle else None
        return self._loader(self.train, "train", self.shuffle, weights)

    def val_dataloader(self) -> ImageLoader:
        """Batches of ``val``, in the data set's order."""
        return self._loader(self.val, "train" if self.val.images is self.train.images else "val")

    def test_dataloader(self) -> ImageLoader:
        """Batches of ``test``, in the data set's order."""
        return self._loader(self.test, "test")

    def _loader(
        self, subset: ImageSubset, array: Split, shuffle: bool = False, weights: Tensor | None = None
    ) -> ImageLoader:
        # workers would only copy what is a single index operation
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer = self.trainer
        device = trainer.strategy.root_device if trainer is not None else torch.device("cpu")
        if device.type == "cuda":
            images = self._on_device[array] = self._on_device.get(array, subset.images).to(device)
            subset = ImageSubset(images, subset.all_labels.to(device), subset.indices.to(device))
        ranks = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        sampler = BatchIndexSampler(
            len(subset), self.batch_size, shuffle, self.seed, *ranks, device=subset.indices.device, weights=weights
        )
        return ImageLoader(subset, sampler, self._batches_done)

    def _batches_done(self) -> int:
        """The number of batches of this epoch that have been trained on, without one that was only loaded."""
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
