"""Fonts for texts of every script: matplotlib's default, and installed ones for the characters that it lacks."""

import sys
import warnings
from collections.abc import Set
from functools import cache

_said: set[str] = set()  # a character that no font has, once it was named


def find_fonts(text: str) -> list[str]:
    """Find fonts that together have the characters of a text.

    The first character that no installed font has is named on stderr, once in a process.

    Args:
        text: of any characters

    Returns:
        Files: matplotlib's default font, and further ones only where it lacks a character.
    """
    return _find_fonts(frozenset(filter(str.isprintable, text)))


def find_families(text: str) -> list[str]:
    """Find the names by which matplotlib knows the fonts of a text.

    Args:
        text: of any characters

    Returns:
        Families: the default ones, and further ones only where these lack a character.
    """
    from matplotlib.font_manager import FontProperties, get_font

    _, *others = find_fonts(text)
    return [*FontProperties().get_family(), *(get_font(file).family_name for file in others)]


def find_font(text: str) -> str:
    """Find one font for a text, for a library that does not combine several.

    Args:
        text: of any characters

    Returns:
        The file of the one that has most of the characters.
    """
    return min(find_fonts(text), key=lambda file: len(_lacking(file, frozenset(text))))


@cache
def _find_fonts(characters: frozenset[str]) -> list[str]:
    from matplotlib import font_manager

    fonts: list[str] = [font_manager.findfont(font_manager.FontProperties())]
    missing = _lacking(fonts[0], characters)
    # those of now, also if they were installed after matplotlib has made its list
    installed = sorted(font_manager.findSystemFonts()) if missing else []
    while missing and installed:
        best = min(installed, key=lambda file: (len(_lacking(file, missing)), "Regular" not in file))
        if len(rest := _lacking(best, missing)) == len(missing):
            break
        font_manager.fontManager.addfont(best)
        fonts.append(best)
        missing = rest
    if missing and not _said:
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        _said.add(min(missing))
        line = f"no installed font has {min(missing)!r}, which is drawn as a box: install one that has it"
        print(line, file=sys.stderr)
    return fonts


def _lacking(file: str, characters: Set[str]) -> frozenset[str]:
    """Those characters that a font lacks; all of them, if matplotlib cannot use it."""
    from matplotlib.font_manager import get_font

    try:
        font = get_font(file)
        # macOS has a font of boxes for all characters
        usable = font.scalable and "LastResort" not in file
    except (OSError, RuntimeError):
        usable = False
    return frozenset(each for each in characters if not usable or not font.get_char_index(ord(each)))
