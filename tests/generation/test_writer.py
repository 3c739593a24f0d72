import numpy as np
import pytest
import torch

import ldg
from ldg import checkpoint
from ldg.errors import UserError
from ldg.generation import ink, latents, writer
from ldg.generation.decoder import TorchDecoder
from ldg.generation.morph import morph
from ldg.generation.writer import Options, write


def inked_columns(picture):
    return np.flatnonzero(picture.min(axis=0) < 0.5)


def test_a_line_is_dark_ink_on_white_cropped_to_a_small_margin(model):
    page = write(model, "Hello gyp")
    assert page.dtype == np.float32 and page.min() == 0 and page.max() == 1
    rows = np.flatnonzero(page.min(axis=1) < 0.5)
    assert abs(rows[0] - 20) <= 1 and abs(page.shape[0] - 1 - rows[-1] - 20) <= 1
    assert page.shape[0] == 106 + 40 + 2 * 20  # l to the tail of g


def test_scale_enlarges(model):
    small, large = write(model, "Hxp", scale=2), write(model, "Hxp", scale=8)
    assert large.shape[0] == pytest.approx(4 * small.shape[0], rel=0.03)


def test_the_same_seed_gives_the_same_picture_and_another_one_another(model):
    a, b, c = (write(model, "Hello", seed=seed, temperature=3) for seed in (1, 1, 4))
    np.testing.assert_array_equal(a, b)
    assert a.shape != c.shape or (a != c).any()


@pytest.mark.parametrize(("style", "different"), [("shared", 1), ("word", 2), ("varied", 7)])
def test_every_glyph_in_one_decoding_with_the_latents_of_the_style(model, style, different):
    write(model, "abc defg", style=style)
    (z,) = model.batches
    assert len(z) == 7 and len(torch.unique(z, dim=0)) == different


def test_temperature_zero_is_the_mean_style(model):
    write(model, "abc", style="varied", temperature=0)
    assert not model.batches[0].any()


def test_a_text_is_the_first_part_of_a_longer_one_in_the_same_hand(model):
    short, long = write(model, "HE"), write(model, "HEN")
    np.testing.assert_array_equal(short[:, :-20], long[:, : short.shape[1] - 20])


def test_tiles(model):
    assert write(model, "ab c", layout="tiles", scale=1).shape == (28, 3 * 20 + 28)


def test_threshold(model):
    for layout in ("baseline", "tiles"):
        assert set(np.unique(write(model, "ab", layout=layout, threshold=0.5))) == {0.0, 1.0}


def test_newlines_and_width_make_lines(model):
    one, two, wrapped = write(model, "HE HE"), write(model, "HE\nHE"), write(model, "HE HE", width=2)
    np.testing.assert_array_equal(two, wrapped)
    assert two.shape[0] == one.shape[0] + 185


@pytest.mark.parametrize("size", [16, 28, 64, 128])
def test_any_image_size(shapes, size):
    model = shapes(image_shape=(1, size, size))
    assert write(model, "Hx").shape[0] == 140


def test_classes_with_names_are_captioned_pictures(dogs):
    page = write(dogs, "pug, Shih-Tzu", scale=4)
    assert page.ndim == 3 and page.shape[2] == 3
    assert page.shape[1] >= 2 * 128 and page.shape[0] > 128 + 14


def test_colour_characters_are_captioned_pictures(shapes):
    assert write(shapes(image_shape=(3, 28, 28)), "ab").ndim == 3


def test_a_blend_mixes_the_labels(dogs):
    def decode(text):
        (line,) = writer.parse_text(dogs, text, Options(mix=0.3))
        return writer.decode_cells(dogs, line, np.zeros((1, 3), np.float32), 1.0)

    mixed, ends = decode("Chihuahua+pug"), [decode("chihuahua"), decode("PUG")]
    np.testing.assert_allclose(mixed, 0.7 * ends[0] + 0.3 * ends[1], rtol=1e-5)


def test_a_sheet_has_the_pictures_of_consecutive_seeds(model):
    options = Options(scale=1, temperature=3)
    sheet = writer.write_sheet(model, "Hi", 2, 3, seed=4, options=options)
    singles = [write(model, "Hi", seed=4 + number, scale=1, temperature=3) for number in range(6)]
    height, width = (max(single.shape[axis] for single in singles) for axis in (0, 1))
    assert sheet.shape == (2 * height, 3 * width)
    last = singles[5]
    np.testing.assert_array_equal(sheet[height:, 2 * width :][: last.shape[0], : last.shape[1]], last)


def test_a_model_without_labels_writes_no_text_but_samples(model):
    model.conditioning = "none"
    with pytest.raises(UserError, match=r"trained without labels .* --rows and --columns"):
        write(model, "Hello")
    assert writer.samples(model, 2, 3, scale=1).shape == (2 * 32 + 4, 3 * 32 + 4)


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"threshold": 1.5}, r"threshold must lie in \[0, 1\], got 1.5"),
        ({"mix": -1}, r"mix must lie in \[0, 1\]"),
        ({"layout": "spiral"}, "layout must be baseline or tiles, got 'spiral'"),
        ({"style": "wild"}, "style must be one of shared, word, varied"),
        ({"scale": 0}, "scale must be at least 1"),
        ({"temperature": -0.1}, "temperature must not be negative"),
    ],
)
def test_impossible_options(model, option, message):
    with pytest.raises(UserError, match=message):
        write(model, "Hello", **option)


def test_the_size_of_a_page_is_known_before_it_is_drawn(model, dogs):
    options = Options(scale=3)
    for text in ("Hello World", "mmmm", "illi\nHello"):
        size, drawn = (
            writer.text_size(model, text, 2, 3, options),
            writer.write_sheet(model, text, 2, 3, options=options),
        )
        assert all(1 / 3 < a / b < 3 for a, b in zip(size, drawn.shape, strict=True))
    tiles = Options(layout="tiles", scale=2)
    assert writer.text_size(model, "ab\nc", 1, 1, tiles) == write(model, "ab\nc", **vars(tiles)).shape
    size, drawn = writer.text_size(dogs, "pug, Chihuahua", 1, 1, options), write(dogs, "pug, Chihuahua", scale=3)
    assert all(0.9 < a / b < 1.1 for a, b in zip(size, drawn.shape[:2], strict=True))
    assert writer.samples_size(model, 2, 3, 2) == writer.samples(model, 2, 3, scale=2).shape


def test_a_page_that_memory_does_not_hold_is_refused_before_anything_is_decoded(model, monkeypatch):
    monkeypatch.setattr("ldg.memory.free_memory", lambda: 10e6)
    for draw in (
        lambda: write(model, "Hello", scale=50),
        lambda: writer.write_sheet(model, "Hello", 50, 50),
        lambda: writer.samples(model, 50, 50),
        lambda: morph(model, "Hello", "World", frames=100),
    ):
        with pytest.raises(UserError, match=r"picture.* of about .* pixels would take about .* GB of memory"):
            draw()
    assert not model.batches
    assert write(model, "Hello", scale=1).size


def test_a_long_text_decodes_each_letter_once_in_a_style(model, monkeypatch):
    monkeypatch.setattr(writer, "BATCH", 4)
    long = write(model, "abab abab", scale=1)
    assert [len(batch) for batch in model.batches] == [2]
    monkeypatch.undo()
    np.testing.assert_array_equal(long, write(model, "abab abab", scale=1))


def test_marks_without_a_class_are_drawn_with_the_pen_of_the_text(model):
    picture = write(model, "Hello, World!")
    assert len(model.batches[0]) == len("HelloWorld")  # nothing else is decoded
    assert picture.shape[1] > write(model, "Hello World").shape[1]
    line = write(model, "H.")
    ink = 1 - line[:, np.flatnonzero((line < 0.5).any(0))]
    dot = ink[:, -6:] > 0.5
    assert 0 < dot.any(1).sum() < 0.35 * (ink > 0.5).any(1).sum()  # small, and on the line
    assert np.flatnonzero(dot.any(1)).mean() > 0.75 * len(line)


def test_marks_only(model):
    assert (write(model, "...") < 0.5).any()
    assert len(model.batches) == 0


def test_a_model_of_marks_writes_them_itself(shapes):
    model = shapes(tuple("ab!"))
    write(model, "a!")
    assert len(model.batches[0]) == 2


def test_marks_of_a_word_processor(model):
    assert np.array_equal(write(model, "“it’s – so…”"), write(model, '"it\'s - so..."'))


def test_an_i_has_its_dot_where_a_style_close_by_has_one():
    decoder, options = TorchDecoder(ldg.load(checkpoint.SHIPPED)), Options()
    page = writer.parse_text(decoder, "ij", options)

    def dotted(styles):
        images = writer.decode_cells(decoder, page[0], styles, options.temperature)[:, 0]
        return [ink.has_dot(ink.clean(image)) for image in images]

    drawn = [dotted(latents.draw_styles([0, 0], decoder.latent_dim, seed)) for seed in range(12)]
    chosen = [dotted(writer.choose_styles(decoder, page, [0, 0], seed, options)) for seed in range(12)]
    assert np.sum(chosen) >= 16 > np.sum(drawn)
    assert (np.array(chosen) >= np.array(drawn)).all()
