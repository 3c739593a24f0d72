import numpy as np
import pytest

from ldg.generation import sheets


def test_grey_images_are_dark_on_white():
    image = np.array([[[[1.0, 0.25]]]])
    np.testing.assert_allclose(sheets.on_paper(image), [[[0.0, 0.75]]])


def test_percentages_go_from_0_to_100():
    assert sheets.percentages(4) == ["0%", "33%", "67%", "100%"]


def test_grid_row_by_row():
    images = np.array([0.0, 1.0, 0.5]).reshape(3, 1, 1, 1)
    np.testing.assert_allclose(sheets.grid(images, columns=2, padding=0), [[1.0, 0.0], [0.5, 1.0]])


def test_padding_is_around_every_image():
    page = sheets.grid(np.ones((4, 1, 5, 7)), columns=2, padding=3)
    assert page.shape == (3 * 3 + 2 * 5, 3 * 3 + 2 * 7)
    assert page[:3].min() == 1 and page[3, 3] == 0


def test_grid_of_colour_images():
    red = np.zeros((2, 3, 4, 4))
    red[:, 0] = 1
    page = sheets.grid(red, columns=2, padding=1, scale=2)
    assert page.shape == (10, 19, 3)
    np.testing.assert_array_equal(page[1, 1], [1, 0, 0])
    np.testing.assert_array_equal(page[0, 0], [1, 1, 1])


def test_pictures_of_different_sizes_share_a_cell_size():
    assert sheets.sheet([np.zeros((3, 4)), np.zeros((5, 2))], columns=2).shape == (5, 8)


@pytest.mark.parametrize("colours", [(), (3,)])
def test_captions_stand_under_their_pictures(colours):
    black = np.zeros((20, 20, *colours))
    page = sheets.captioned([black, black], ["a", "a long caption"], columns=2, padding=4)
    assert page.shape[2:] == colours
    assert page[4:24].min() == 0
    assert page[26:].min() < 0.5  # the letters
    assert page.shape[1] > 2 * 80  # both columns as wide as the longer caption
    assert page[:, -2:].min() == 1
