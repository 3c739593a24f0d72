"""The train, val and test images of a data set, without Lightning: what generation and evaluation read."""

import copy
import hashlib
import inspect
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils import data

from ldg.data.dataset import Arrays, Dataset, Split, check_classes
from ldg.data.strata import spread, stratified
from ldg.errors import UserError

Batch = tuple[Tensor, Tensor]


class ImageSubset(data.Dataset):
    """Some of the images of an array, indexed by whole batches.

    Args:
        images: uint8 (M, C, H, W), of which the subset is a part
        labels: int64 (M,)
        indices: of the images in the subset, int64 (N,)
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
        """Read a batch, with one index operation on each whole array.

        Args:
            index: positions in the subset, int64 (B,)

        Returns:
            Images uint8 (B, C, H, W) and labels int64 (B,).
        """
        rows = self.indices[index]
        return self.images.index_select(0, rows), self.all_labels.index_select(0, rows)


class ImageSplits:
    """A data set's images in three splits; arrays are loaded when a split is first used.

    ``val`` is that of the data set if it has one. Otherwise it is a part of the training images, the same share of
    every class, and depends on ``val_seed`` alone. ``test`` is the test split of the data set.

    Args:
        dataset: the data set
        image_shape: (C, H, W) of an image
        num_classes: number of classes
        root: folder of the data sets' files; nothing is written there, except downloads
        cache: folder for decoded arrays; None: the user's cache folder
        download: whether missing files are downloaded into ``root``
        val_fraction: share of the training images in ``val``, between 0 and 1
        val_seed: chooses these images
        limit: at most so many images of each split that the data set has, with the same share of every class; None: all

    Raises:
        UserError: if the data set has another number of classes, or unusable names of them. The methods and properties
            that load images raise it if these have another shape, cannot be loaded, or leave none for ``val``.
    """

    def __init__(
        self,
        dataset: Dataset,
        image_shape: tuple[int, int, int],
        num_classes: int,
        root: str = "data",
        cache: str | None = None,
        download: bool = True,
        val_fraction: float = 0.1,
        val_seed: int = 0,
        limit: int | None = None,
    ) -> None:
        dataset.inspect(root, cache)
        check_classes(dataset)
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
        self.val_fraction, self.val_seed, self.limit = val_fraction, val_seed, limit

    def prepare_data(self) -> None:
        """Write the cached arrays of the train and test images, unless they are there, and choose those of val."""
        self._load("test")
        _ = self._train_and_val

    @property
    def train(self) -> ImageSubset:
        """The images to train on; shares its arrays with ``val``, unless the data set has its own."""
        return self._train_and_val[0]

    @property
    def val(self) -> ImageSubset:
        """The images held out from training, by which models are selected."""
        return self._train_and_val[1]

    @cached_property
    def test(self) -> ImageSubset:
        """The images of the data set's test split."""
        return self._whole("test")

    @property
    def train_labels(self) -> Tensor:
        """The labels of train, with those of a ``val`` that is a part of it, int64 (N,), in the data set's order."""
        return self.train.all_labels

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the images and labels of all splits, independent of the files' paths and times."""
        digest = hashlib.sha256()
        own_val = [self._load("val")] if self.dataset.has_val else []
        for arrays in (self._load("train"), self._load("test"), *own_val):
            digest.update(arrays.images.data)
            digest.update(arrays.labels.data)
        return digest.hexdigest()

    def examples(self, split: Literal["train", "val", "test"], count: int) -> Batch:
        """Choose a few images of a split, spread over the classes; always the same ones.

        Args:
            split: ``train``, ``val`` or ``test``
            count: at most so many images

        Returns:
            Images uint8 (B, C, H, W) and labels int64 (B,), on the CPU.
        """
        subset: ImageSubset = getattr(self, split)
        return subset[torch.from_numpy(spread(np.asarray(subset.labels), count))]

    def with_training_images(self, images: Tensor) -> Self:
        """Copy these splits with other images in train and in a part of them for val; labels and test are shared.

        Args:
            images: uint8 (N, C, H, W), in the order of ``train_labels``

        Returns:
            The copy.

        Raises:
            ValueError: if the images have another shape than the data set's.
        """
        if images.shape != (expected := self._load("train").images.shape):
            raise ValueError(f"images have shape {tuple(images.shape)} instead of {expected}")
        new = copy.copy(self)
        new._train_and_val = self._divide(images, self.train_labels)
        return new

    @cached_property
    def _train_and_val(self) -> tuple[ImageSubset, ImageSubset]:
        if self.dataset.has_val:
            return self._whole("train"), self._whole("val")
        arrays = self._load("train")
        return self._divide(torch.from_numpy(arrays.images), torch.from_numpy(arrays.labels))

    def _divide(self, images: Tensor, labels: Tensor) -> tuple[ImageSubset, ImageSubset]:
        parts = stratified(labels.numpy(), self.val_fraction, self.val_seed)
        if not len(parts[1]):
            if self.limit is not None and self.limit < (enough := 2 * self.num_classes):
                raise UserError(
                    f"data.limit={self.limit}: no class has two training images, one of them for validation; "
                    f"set it to {enough} or more"
                )
            name = type(self.dataset).__name__
            raise UserError(
                f"{name}: no class has two training images, so that none is left for validation; add images"
            )
        train, val = (ImageSubset(images, labels, torch.from_numpy(part)) for part in parts)
        return train, val

    def _whole(self, split: Split) -> ImageSubset:
        arrays = self._load(split)
        every = torch.arange(len(arrays.labels))
        return ImageSubset(torch.from_numpy(arrays.images), torch.from_numpy(arrays.labels), every)

    def _load(self, split: Split) -> Arrays:
        arrays = self.dataset.load(split, self.root, self.cache, self.download, self.limit)
        shape = arrays.images.shape[1:]
        if shape != self.image_shape:
            name = type(self.dataset).__name__
            raise UserError(f"data.image_shape: {list(self.image_shape)}, but {name} has {list(shape)}; set it to that")
        return arrays


def load_splits(dataset: Dataset, config: Mapping[str, Any]) -> ImageSplits:
    """Make the splits that a run was trained with.

    Args:
        dataset: the data set that ``config["dataset"]`` describes
        config: a run's ``data`` config; keys that only training needs are ignored

    Returns:
        The splits; their arrays are loaded when they are first used.

    Raises:
        UserError: if the data set has another number of classes than the config.
    """
    keys = inspect.signature(ImageSplits).parameters.keys() - {"dataset"}
    return ImageSplits(dataset, **{key: config[key] for key in keys & config.keys()})
