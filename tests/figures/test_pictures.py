"""What the pictures of the gallery show."""

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from ldg.callbacks.gallery import choose_pictures
from ldg.errors import UserError
from ldg.figures.latent_map import draw_map, project
from ldg.figures.layout import ROWS
from ldg.figures.picture import Scene, list_pictures
from ldg.generation import interpolate, sheets, writer
from ldg.models.vae import unit
from ldg.training.module import make_module
from ldg.training.run import make_data
from tests.data import made
from tests.models.test_vae import make
from tests.runs import BARE, DENSE, STROKES, configured

ALWAYS = {"reconstructions_train", "reconstructions_val", "strings", "interpolations", "latent_map"}


def scene_of(*overrides, **options):
    """An untrained model and its data."""
    config = configured(*DENSE, *BARE, *overrides)
    data = make_data(config.data)
    return Scene(make_module(config, data.classes).model.eval(), data.examples, **options)


@torch.no_grad()
def draw(scene, name):
    """A picture and its caption."""
    return list_pictures()[name].draw(scene)


def of_an_epoch(model):
    """Names of the pictures that are drawn of a model in each epoch."""
    return {name for name, picture in list_pictures().items() if picture.when == "epoch" and picture.applies_to(model)}


def shown(figure):
    return np.asarray(figure.axes[0].images[0].get_array())


def words(figure):
    axes = figure.axes[0]
    return [t.get_text() for t in axes.get_xticklabels()], [t.get_text() for t in axes.get_yticklabels()]


@pytest.fixture
def fashion(tmp_path):
    for part in ("train", "t10k"):
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28))
        made.idx_pair(tmp_path / "data/FashionMNIST/raw", part, images, np.arange(40) % 10)
    return ["data=fashion_mnist", f"data.root={tmp_path}/data"]


def test_reconstructions_show_originals_above_posterior_means():
    scene = scene_of(*STROKES, images=5)
    model = scene.model
    for split in ("train", "val"):
        figure, caption = draw(scene, f"reconstructions_{split}")
        images, labels = scene.examples(split, 5)
        with torch.no_grad():
            both = torch.cat([unit(images), model.reconstruct(images, labels)]).numpy()
        np.testing.assert_array_equal(shown(figure), sheets.grid(both, 5, padding=2, scale=3))
        assert words(figure) == ([model.classes[c] for c in labels], ["original", "posterior\nmean"])
        assert caption == f"Reconstructions, {split} images"


def test_strings_show_the_text_in_fixed_styles():
    scene = scene_of(*STROKES, text="Ab 3")
    model = scene.model
    figure, caption = draw(scene, "strings")
    lines = [writer.write(model, "Ab 3", seed=seed, scale=3, width=0) for seed in range(ROWS)]
    np.testing.assert_array_equal(shown(figure), sheets.sheet(lines, columns=1, padding=24))
    assert "Ab 3" in caption


def test_where_classes_are_words_strings_are_a_sheet_of_classes(fashion):
    scene = scene_of(*fashion)
    model = scene.model
    figure, _ = draw(scene, "strings")
    assert words(figure)[0] == list(model.classes)
    # one latent a row, one class a column
    z = writer.TEMPERATURE * torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        tiles = model.decode(z.repeat_interleave(10, 0), torch.arange(10).repeat(ROWS)).numpy()
    np.testing.assert_allclose(shown(figure), sheets.grid(tiles, 10, padding=2, scale=3), atol=1e-6)


def test_interpolations_go_from_one_test_image_to_the_other():
    scene = scene_of(*STROKES)
    model = scene.model
    figure, _ = draw(scene, "interpolations")
    images, labels = scene.examples("test", 8)
    with torch.no_grad():
        x = unit(images[:2])
        frames = torch.cat([x[:1], interpolate.between_images(model, x, labels[:2]), x[1:]]).numpy()
    first = sheets.grid(frames, 12, padding=2, scale=3)
    np.testing.assert_array_equal(shown(figure)[: first.shape[0] - 2], first[:-2])
    assert words(figure)[0] == ["original", "0%", *[f"{100 * i / 9:.0f}%" for i in range(1, 9)], "100%", "original"]


def test_label_interpolations_keep_the_style():
    scene = scene_of(*STROKES)
    model = scene.model
    figure, _ = draw(scene, "interpolations_labels")
    z = writer.TEMPERATURE * torch.randn(ROWS, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        frames = interpolate.between_labels(model, z[0], 0, 1).numpy()
    first = sheets.grid(frames, 10, padding=2, scale=3)
    np.testing.assert_array_equal(shown(figure)[: first.shape[0] - 2], first[:-2])
    assert words(figure)[1][0] == "0 → 1"


def test_without_labels_there_are_samples_and_no_label_interpolations():
    scene = scene_of(*STROKES, "conditioning=none")
    model = scene.model
    assert of_an_epoch(model) == ALWAYS
    figure, caption = draw(scene, "strings")
    assert caption == "Samples from the prior"
    np.testing.assert_array_equal(shown(figure), writer.samples(model, ROWS, 12, scale=3))


def test_a_two_dimensional_latent_space_is_mapped_directly_and_decoded_as_a_plane():
    scene = scene_of(*STROKES, "model.latent_dim=2", "conditioning=none")
    model = scene.model
    assert of_an_epoch(model) == ALWAYS | {"manifold"}
    figure, caption = draw(scene, "latent_map")
    assert caption == "Latent map"
    with torch.no_grad():
        posterior = model.encode(*scene.examples("val", 2000)).mean.numpy()
    drawn = np.concatenate([np.asarray(part.get_offsets()) for part in figure.axes[0].collections])
    np.testing.assert_allclose(np.sort(drawn, axis=0), np.sort(posterior, axis=0), atol=1e-6)

    picture = shown(draw(scene, "manifold")[0])
    assert picture.shape == (30 * 28, 30 * 28)
    with torch.no_grad():  # ink on paper; z1 to the right, z2 upwards
        corner = model.decode(torch.tensor([[-4.0, 4.0], [4.0, -4.0]]))[:, 0].numpy()
    np.testing.assert_allclose(picture[:28, :28], 1 - corner[0], atol=1e-6)
    np.testing.assert_allclose(picture[-28:, -28:], 1 - corner[1], atol=1e-6)


def test_principal_components():
    """Points on a line in five dimensions: all variance lies in one component, at their distances along the line."""
    along = np.linspace(-1, 1, 7)
    points, share = project(along[:, None] * np.array([3.0, 0, 4, 0, 0]) + 7)
    np.testing.assert_allclose(np.abs(points[:, 0]), 5 * np.abs(along), atol=1e-12)
    np.testing.assert_allclose(points[:, 1], 0, atol=1e-12)
    assert share == pytest.approx(1)


@pytest.mark.filterwarnings("error")
def test_the_latent_map_of_a_run_that_diverged_is_empty():
    figure, _ = draw_map(np.full((3, 2), np.nan), np.array([0, 1, 2]), ("a", "b", "c"))
    assert figure.axes[0].get_legend() is None and not figure.axes[0].collections


@pytest.mark.parametrize(("dims", "classes"), [(1, 3), (2, 15), (5, 62)])
def test_the_latent_map_has_every_image_once(dims, classes):
    names = tuple("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"[:classes])
    labels = np.arange(124) % classes
    figure, _ = draw_map(np.random.default_rng(0).normal(size=(124, dims)), labels, names)
    groups = figure.axes[0].collections
    assert [len(group.get_offsets()) for group in groups] == np.bincount(labels).tolist()
    assert (figure.axes[0].get_legend() is not None) == (classes <= 20)


def test_the_data_sheet_shows_every_class():
    scene = scene_of(*STROKES)
    figure, caption = draw(scene, "data")
    images, _ = scene.examples("train", 72)
    np.testing.assert_array_equal(shown(figure), sheets.grid(unit(images).numpy(), 12, scale=3))
    assert caption == "Training images, 62 of 62 classes"


def test_the_data_sheet_names_classes_that_are_words(fashion):
    scene = scene_of(*fashion)
    images, labels = scene.examples("train", 72)
    sheet = shown(draw(scene, "data")[0])
    scene.model.classes = ("T-shirt", *scene.model.classes[1:])
    other = shown(draw(scene, "data")[0])
    plain = sheets.grid(unit(images).numpy(), 12, padding=8, scale=3)
    # rows of letters below the images; only those of the other name differ
    rows, columns = (np.unique(axis) for axis in np.nonzero(sheet != other))
    height = (sheet.shape[0] - plain.shape[0]) // -(-len(images) // 12)
    assert 0 < height < 28 * 3 / 2 and (sheet[: 28 * 3 + 8] == plain[: 28 * 3 + 8]).all()
    assert rows.min() >= 28 * 3 + 8
    assert set(columns // (28 * 3 + 8)) == {i % 12 for i, label in enumerate(labels.tolist()) if label == 0}


def test_a_single_class_is_not_named():
    model = make(shape=(1, 28, 28), classes=1, latent_dim=2, conditioning="none").eval()
    images = torch.randint(256, (12, 1, 28, 28), generator=torch.Generator().manual_seed(0)).byte()
    scene = Scene(model, lambda split, number: (images[:number], torch.zeros(12).long()[:number]))
    seen = []
    for name in ("faces", "other faces"):
        model.classes = (name,)
        pictures = [each for each in list_pictures().values() if each.applies_to(model)]
        texts = [t.get_text() for each in pictures for t in draw(scene, each.name)[0].findobj(Text)]
        assert not any("faces" in text for text in texts)
        seen.append(shown(draw(scene, "data")[0]))
    np.testing.assert_array_equal(*seen)


@pytest.mark.parametrize("name", list_pictures())
def test_pictures_show_the_encoder_what_a_binarising_likelihood_explains(name, monkeypatch):
    scene = scene_of(*STROKES, "likelihood.binarize=dynamic", "model.latent_dim=2")
    shown_to_it = []
    encode = scene.model.network.encode
    monkeypatch.setattr(scene.model.network, "encode", lambda x, c: (shown_to_it.append(x), encode(x, c))[1])
    for state in range(2):  # of no importance
        torch.manual_seed(state)
        draw(scene, name)
    assert all(x.unique().tolist() == [0, 1] for x in shown_to_it)
    assert bool(shown_to_it) == (name not in {"data", "strings", "interpolations_labels", "manifold"})
    half = len(shown_to_it) // 2
    assert all(map(torch.equal, shown_to_it[:half], shown_to_it[half:]))  # the same binarisation every time


@pytest.mark.parametrize("name", list_pictures())
def test_a_picture_of_the_same_model_is_the_same_every_time(name):
    scene = scene_of(*STROKES, "likelihood.binarize=dynamic", "model.latent_dim=2")
    pixels = []
    for state in range(2):
        torch.manual_seed(state)
        figure, _ = draw(scene, name)
        FigureCanvasAgg(figure).draw()
        pixels.append(np.asarray(figure.canvas.buffer_rgba()))
    np.testing.assert_array_equal(*pixels)


def test_pictures_are_chosen_by_name():
    assert [picture.name for picture in choose_pictures(["latent_map", "strings"])] == ["strings", "latent_map"]
    with pytest.raises(UserError, match="no picture 'string', did you mean strings"):
        choose_pictures(["string"])


@pytest.mark.parametrize(("count", "images", "latent_dim"), [(1, 1, 2), (1, 2, 3), (2, 1, 1), (2, 2, 2)])
def test_pictures_of_one_class_or_image(count, images, latent_dim):
    model = make(shape=(1, 28, 28), classes=count, latent_dim=latent_dim).eval()
    model.classes = ("pug", "Chihuahua")[:count]
    x = torch.randint(256, (images, 1, 28, 28), generator=torch.Generator().manual_seed(0)).byte()
    scene = Scene(model, lambda split, number: (x[:number], torch.arange(images)[:number] % count))
    for name, picture in list_pictures().items():
        if picture.applies_to(model):
            figure, _ = draw(scene, name)
            FigureCanvasAgg(figure).draw()
    assert list_pictures()["interpolations_labels"].applies_to(model) == (count > 1)


def test_interpolations_of_labels_have_each_pair_once():
    model = make(shape=(1, 28, 28), classes=3, latent_dim=2).eval()
    model.classes = ("a", "b", "c")
    figure, _ = draw(Scene(model, None), "interpolations_labels")
    assert words(figure)[1] == ["a → b", "b → c"]
