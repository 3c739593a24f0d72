import string

import numpy as np
import pytest

from ldg.errors import UserError
from ldg.generation.alphabet import BLANK, parse, soft_labels

BYCLASS = tuple(string.digits + string.ascii_uppercase + string.ascii_lowercase)
BALANCED = tuple(string.digits + string.ascii_uppercase + "abdefghnqrt")
FASHION = ("T-shirt/top", "Trouser", "Ankle boot", "Bag")


def indices(page):
    return [[cell.mixture[0][0] if cell.mixture else None for cell in line] for line in page]


def test_characters_blanks_and_lines():
    assert indices(parse("0 a\nZz", BYCLASS)) == [[0, None, 36], [35, 61]]


def test_a_character_without_a_class_is_written_with_its_other_case():
    page = parse("cC", BALANCED)
    assert indices(page) == [[22 - 10, 12]]
    assert [cell.name for cell in page[0]] == ["c", "C"]  # what was asked decides the height
    assert indices(parse("aA", tuple(string.ascii_lowercase))) == [[0, 0]]


def test_unknown_characters_are_all_named_once_with_the_alphabet():
    with pytest.raises(UserError) as error:
        parse("Hé!lo é?", BYCLASS)
    assert str(error.value) == (
        "cannot write 'é', '!' and '?': this model knows "
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz and the space"
    )


def test_digits_know_no_letters():
    with pytest.raises(UserError, match="cannot write 'a': this model knows 0123456789 and the space"):
        parse("1a", tuple(string.digits))


@pytest.mark.parametrize("text", ["", "  ", "\n"])
def test_empty_text(text):
    with pytest.raises(UserError, match="the text is empty"):
        parse(text, BYCLASS)


def test_long_lines_wrap_between_words():
    page = parse("the quick brown fox", BYCLASS, width=10)
    assert ["".join(cell.name for cell in line) for line in page] == ["the quick", "brown fox"]
    assert len(parse("a " * 100, BYCLASS, width=0)) == 1


def test_names_are_found_whatever_their_case_and_punctuation():
    assert indices(parse("ankle BOOT, t shirt/top,bag", FASHION)) == [[2, 0, 3]]


def test_names_wrap_at_width():
    assert indices(parse("Bag, Bag, Trouser", FASHION, width=2)) == [[3, 3], [1]]


def test_unknown_names_suggest_close_ones():
    with pytest.raises(UserError) as error:
        parse("Bog, shirt, xyzzy", FASHION)
    assert str(error.value) == (
        "no class is called 'Bog': did you mean 'Bag'?; no class is called 'shirt': did you mean 'T-shirt/top'?; "
        "no class is called 'xyzzy': the model knows T-shirt/top, Trouser, Ankle boot, Bag"
    )


def test_blend_has_the_share_of_each_parent():
    cells = parse("bag+trouser", FASHION, mix=0.25)[0]
    assert [cell.name for cell in cells] == ["Bag + Trouser (25%)"]
    np.testing.assert_array_equal(soft_labels(cells, 4), [[0, 0.25, 0, 0.75]])


def test_a_blend_has_two_parents():
    with pytest.raises(UserError, match="a blend has two classes"):
        parse("Bag+Trouser+Bag", FASHION)


def test_soft_labels_of_a_blank_are_zero():
    np.testing.assert_array_equal(soft_labels([BLANK], 3), [[0, 0, 0]])


def test_an_accent_of_its_own_belongs_to_its_letter():
    assert parse("e\u0301", ("\u00e9", "e"))[0][0].name == "\u00e9"
    assert parse("Caf\u00e9", ["Cafe\u0301", "tea"])[0][0].name == "Cafe\u0301"
    with pytest.raises(UserError, match="cannot write '\u00e9': this model knows eE and the space"):
        parse("e\u0301", ("e",))


def test_a_message_names_no_more_than_ten_of_many():
    text = "".join(map(chr, range(0x4E00, 0x4E00 + 2000)))
    with pytest.raises(UserError, match=r"and 1,990 more: this model knows aA and the space") as error:
        parse(text, ("a",))
    assert len(str(error.value)) < 150
    with pytest.raises(UserError, match=r"; 1,990 more$"):
        parse(",".join(map(str, range(2000))), ("tea", "milk"))
