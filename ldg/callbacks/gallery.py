"""The gallery: the same pictures of every model and data set, during training and at its end.

Which pictures there are is up to ``ldg.figures``; this callback decides when they are drawn and where they go: as PNG
into the run folder, and to the loggers that take pictures.
"""

from functools import cache
from pathlib import Path

import pytorch_lightning as pl
import torch
from PIL import Image
from pydantic import PositiveInt

from ldg.callbacks.averaging import Averaging
from ldg.callbacks.media import log_picture
from ldg.errors import UserError, suggestion
from ldg.figures.layout import save_figure
from ldg.figures.picture import Picture, Scene, list_pictures
from ldg.files import whole
from ldg.generation.alphabet import is_written, parse


class Gallery(pl.Callback):
    """Draws the model during training and at its end.

    ``folder/epoch_0003/NAME.png`` holds an epoch's pictures, ``folder/NAME.png`` the newest, ``folder/strings.gif`` the
    written text over the epochs. ``folder/data.png`` is drawn before training, ``folder/reconstructions_test.png`` with
    the best weights. All pictures use the same examples and noise, so that those of different epochs compare.

    Args:
        folder: of the pictures
        text: what is written; None: a text that the classes can write
        every_n_epochs: how often
        images: examples in a row
        pictures: names of those to draw, as far as they apply to the model; None: all that apply

    Raises:
        UserError: for a picture that does not exist, and before training for a character of ``text`` without a class.
    """

    def __init__(
        self,
        folder: str,
        text: str | None = None,
        every_n_epochs: PositiveInt = 1,
        images: PositiveInt = 12,
        pictures: list[str] | None = None,
    ) -> None:
        self.folder = Path(folder)
        self.text = text
        self.every_n_epochs = every_n_epochs
        self.images = images
        self.pictures = choose_pictures(pictures)
        self.epoch, self.is_drawn = 0, True  # the last one trained, and whether there are pictures of it

    def on_fit_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Check the text."""
        classes = module.model.classes  # type: ignore[union-attr]
        if self.text is not None and is_written(classes):  # type: ignore[arg-type]
            parse(self.text, classes)  # type: ignore[arg-type]
        self.examples = cache(trainer.datamodule.examples)  # type: ignore[attr-defined]

    def on_train_start(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw what does not change, once."""
        missing = [picture for picture in self.pictures if not (self.folder / f"{picture.name}.png").exists()]
        self._publish(trainer, module, "start", missing)

    def on_train_epoch_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw the model every ``every_n_epochs``."""
        self.epoch, self.is_drawn = trainer.current_epoch + 1, False
        if self.epoch % self.every_n_epochs == 0:
            self._publish_epoch(trainer, module)

    def on_train_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw the last epoch, for whatever reason training ends."""
        self._publish_epoch(trainer, module)

    def on_fit_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Make the GIFs."""
        if trainer.is_global_zero:
            for picture in self.pictures:
                if picture.is_animated:
                    self._animate(trainer, picture)

    def on_test_end(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        """Draw what the best weights make of test images."""
        self._publish(trainer, module, "test", self.pictures)

    def _publish_epoch(self, trainer: pl.Trainer, module: pl.LightningModule) -> None:
        if not self.is_drawn:
            module = averaged(trainer) or module  # the weights that are validated
            training = module.training
            module.eval()
            self._publish(trainer, module, "epoch", self.pictures)
            module.train(training)
        self.is_drawn = True

    def _publish(self, trainer: pl.Trainer, module: pl.LightningModule, when: str, pictures: list[Picture]) -> None:
        """Draw pictures, save them, and log them."""
        if not trainer.is_global_zero:
            return
        scene = self.scene(module)
        for picture in pictures:
            if picture.when == when and picture.applies_to(scene.model):
                with torch.no_grad():
                    figure, caption = picture.draw(scene)
                newest = self.folder / f"{picture.name}.png"
                path, title = newest, caption
                if when == "epoch":
                    path = self.folder / f"epoch_{self.epoch:04d}" / newest.name
                    title = f"{caption} – epoch {self.epoch}"
                figure.suptitle(title, fontsize=11)
                save_figure(figure, path, dpi=120)
                if path != newest:
                    with whole(newest) as temporary:
                        temporary.write_bytes(path.read_bytes())
                self._log(trainer, picture.name, newest, caption)

    def scene(self, module: pl.LightningModule) -> Scene:
        """What the pictures show of a module's model."""
        return Scene(module.model, self.examples, self.text, self.images)  # type: ignore[arg-type]

    def _animate(self, trainer: pl.Trainer, picture: Picture) -> None:
        """Join the epochs' versions of a picture to a GIF."""
        frames = sorted(self.folder.glob(f"epoch_*/{picture.name}.png"))
        if len(frames) < 2:
            return
        first, *others = [Image.open(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in frames]
        durations = [400] * len(others) + [2000]
        path = self.folder / f"{picture.name}.gif"
        with whole(path) as temporary:
            first.save(temporary, save_all=True, append_images=others, duration=durations, loop=0)
        self._log(trainer, f"{picture.name}_moving", path)

    def _log(self, trainer: pl.Trainer, name: str, path: Path, caption: str | None = None) -> None:
        """Log a saved picture, with its step below it."""
        step = trainer.global_step
        for logger in trainer.loggers:
            log_picture(logger, f"gallery/{name}", path, caption and f"{caption}, step {step}", step)


def choose_pictures(names: list[str] | None) -> list[Picture]:
    """Pictures by name, in the order of :func:`list_pictures`.

    Args:
        names: None: all

    Raises:
        UserError: for a name that no picture has.
    """
    pictures = list_pictures()
    for name in names or ():
        if name not in pictures:
            hint = suggestion(name, pictures)
            raise UserError(f"callbacks.gallery.pictures: no picture {name!r}{hint}; choose from {', '.join(pictures)}")
    return [picture for name, picture in pictures.items() if names is None or name in names]


def averaged(trainer: pl.Trainer) -> pl.LightningModule | None:
    """The module with averaged weights, where a callback keeps one."""
    callbacks: list[pl.Callback] = trainer.callbacks  # type: ignore[attr-defined]
    return next((callback.averaged_module for callback in callbacks if isinstance(callback, Averaging)), None)
