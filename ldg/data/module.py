"""Batches for training: one data module for every data set."""

import copy
import hashlib
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Annotated, Literal, Self

import numpy as np
import pytorch_lightning as pl
import torch
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor
from torch.utils import data

from ldg.data.dataset import Arrays, Dataset, Split
from ldg.data.sampling import BatchIndexSampler, spread, stratified
from ldg.errors import UserError

Batch = tuple[Tensor, Tensor]


class ImageSubset(data.Dataset):
    """Some of the images of an array; ``subset[index]`` with an int64 index tensor (B,) is a batch.

    A batch is images uint8 (B, C, H, W) and labels int64 (B,), each a single index operation on the whole array.
    """

    def __init__(self, images: Tensor, labels: Tensor, indices: Tensor) -> None:
        self.images, self.all_labels, self.indices = images, labels, indices

    @property
    def labels(self) -> Tensor:
        """The labels of the subset, int64 (N,)."""
        return self.all_labels[self.indices]

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Tensor) -> Batch:
        rows = self.indices[index]
        return self.images.index_select(0, rows), self.all_labels.index_select(0, rows)


class ImageLoader(data.DataLoader):
    """An ordinary DataLoader whose sampler yields whole batches, and that can go on in the middle of an epoch.

    ``batches_done`` says how many batches of this epoch have been trained on; Lightning keeps the loader's state in its
    checkpoints.
    """

    def __init__(self, subset: ImageSubset, sampler: BatchIndexSampler, batches_done: Callable[[], int]) -> None:
        super().__init__(subset, sampler=sampler, batch_size=None, collate_fn=unchanged)  # type: ignore[arg-type]
        self.batches_done = batches_done

    def state_dict(self) -> dict[str, int]:
        return {"batches_done": self.batches_done() % len(self)}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.sampler.start = state["batches_done"]  # type: ignore[attr-defined]


def unchanged(batch: Batch) -> Batch:
    return batch


class ImageDataModule(pl.LightningDataModule):
    """The train, val and test batches of a data set, as bytes.

    ``val`` is carved from the training images, the same share of every class, decided by ``val_seed`` alone; ``test``
    is the data set's own. On a GPU the whole array is moved there once and indexed there.

    Args:
        dataset: which images
        image_shape: (C, H, W) of an image, and
        num_classes: how many classes: what models are built for, so both must agree with the data set
        root: folder that holds the data sets' files; only read, unless something must be downloaded
        cache: folder for decoded arrays; None for the user's cache folder
        download: whether missing files may be downloaded into ``root``
        batch_size: images per batch and process
        val_fraction: share of the training images set aside for validation
        val_seed: decides which ones
        seed: decides, with the epoch, the order of the training images
        shuffle: False to see the training images in the same order in every epoch
        balance: 0 to train on classes as frequent as they are, 1 on every class alike: images are drawn with
            replacement and probabilities that fall with the number of their class, to this power

    Raises UserError if the data set has other classes or (once loaded) other shapes than stated, or cannot be read.
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
    ) -> None:
        super().__init__()
        if num_classes != len(dataset.classes):
            name = type(dataset).__name__
            raise UserError(
                f"data.num_classes: {num_classes}, but {name} has {len(dataset.classes)} classes; set it to that"
            )
        self.dataset = dataset
        self.classes = dataset.classes
        self.image_shape = tuple(image_shape)
        self.num_classes = num_classes
        self.root, self.cache, self.download = root, cache, download
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed
        self.val_fraction, self.val_seed, self.balance = val_fraction, val_seed, balance
        self._moved: dict[int, Tensor] = {}  # arrays on the accelerator, by the address they have here

    def prepare_data(self) -> None:
        """Make the cached arrays, on one process before the others read them."""
        self._load("train")
        self._load("test")

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images and labels of train and test: alike wherever the files lie and whenever they came."""
        digest = hashlib.sha256()
        for arrays in (self._load("train"), self._load("test")):
            digest.update(arrays.images.data)
            digest.update(arrays.labels.data)
        return digest.hexdigest()

    def with_training_images(self, images: Tensor) -> Self:
        """This data module with other images, uint8 (N, C, H, W), for the labels of train and val, in their order.

        ``train_labels`` are the N labels they are for; test stays as it is.
        """
        if (found := images.shape) != (expected := self._load("train").images.shape):
            raise ValueError(f"images have shape {tuple(found)} instead of {expected}")
        new = copy.copy(self)
        new._moved = {}
        new._train_and_val = tuple(  # type: ignore[assignment]
            ImageSubset(images, part.all_labels, part.indices) for part in self._train_and_val
        )
        return new

    @property
    def train_labels(self) -> Tensor:
        """The labels of train and val together, int64 (N,), in the data set's order."""
        return self.train.all_labels

    def setup(self, stage: str) -> None:
        """Refuse ``overfit_batches``, for which Lightning puts a sampler of single images in the place of ours."""
        if self.trainer is not None and self.trainer.overfit_batches:  # type: ignore[attr-defined]
            raise UserError("trainer.overfit_batches: use trainer.limit_train_batches with data.shuffle=false instead")

    def _load(self, split: Split) -> Arrays:
        arrays = self.dataset.load(split, self.root, self.cache, self.download)
        shape = arrays.images.shape[1:]
        if shape != self.image_shape:
            name = type(self.dataset).__name__
            raise UserError(f"data.image_shape: {list(self.image_shape)}, but {name} has {list(shape)}; set it to that")
        return arrays

    @cached_property
    def _train_and_val(self) -> tuple[ImageSubset, ImageSubset]:
        arrays = self._load("train")
        images, labels = torch.from_numpy(arrays.images), torch.from_numpy(arrays.labels)
        parts = stratified(arrays.labels, self.val_fraction, self.val_seed)
        train, val = (ImageSubset(images, labels, torch.from_numpy(part)) for part in parts)
        return train, val

    @property
    def train(self) -> ImageSubset:
        return self._train_and_val[0]

    @property
    def val(self) -> ImageSubset:
        return self._train_and_val[1]

    @cached_property
    def test(self) -> ImageSubset:
        arrays = self._load("test")
        every = torch.arange(len(arrays.labels))
        return ImageSubset(torch.from_numpy(arrays.images), torch.from_numpy(arrays.labels), every)

    def examples(self, split: Literal["train", "val", "test"], count: int) -> Batch:
        """Up to ``count`` images and labels of a split, always the same ones, spread over the classes, on the CPU."""
        subset: ImageSubset = getattr(self, split)
        return subset[torch.from_numpy(spread(np.asarray(subset.labels), count))]

    def train_dataloader(self) -> ImageLoader:
        labels = self.train.labels
        weights = labels.bincount()[labels].double() ** -self.balance if self.balance and self.shuffle else None
        return self._loader(self.train, self.shuffle, weights)

    def val_dataloader(self) -> ImageLoader:
        return self._loader(self.val)

    def test_dataloader(self) -> ImageLoader:
        return self._loader(self.test)

    def _loader(self, subset: ImageSubset, shuffle: bool = False, weights: Tensor | None = None) -> ImageLoader:
        # workers would only copy what is a single index operation
        warnings.filterwarnings("ignore", message=".*does not have many workers")
        trainer = self.trainer
        device = trainer.strategy.root_device if trainer is not None else torch.device("cpu")
        if device.type == "cuda":
            subset = self._on(device, subset)
        ranks = (trainer.global_rank, trainer.world_size) if trainer is not None else (0, 1)
        sampler = BatchIndexSampler(
            len(subset), self.batch_size, shuffle, self.seed, *ranks, device=subset.indices.device, weights=weights
        )
        return ImageLoader(subset, sampler, self._batches_done)

    def _on(self, device: torch.device, subset: ImageSubset) -> ImageSubset:
        """The subset on an accelerator; train and val share one array there as they do here."""
        array = subset.images.data_ptr()
        if array not in self._moved:
            self._moved[array] = subset.images.to(device)
        return ImageSubset(self._moved[array], subset.all_labels.to(device), subset.indices.to(device))

    def _batches_done(self) -> int:
        """How many batches of this epoch have been trained on: not counting one that was fetched but interrupted."""
        if self.trainer is None:
            return 0
        return self.trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
