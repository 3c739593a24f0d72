"""Damaged variants of a file's bytes: flipped, cut, swapped, spliced, emptied, and with numbers at their limits."""

import random

# what a length or a number becomes: each of the limits of 1, 2, 4 and 8 bytes, in both byte orders
LIMITS = [n.to_bytes(size, order) for size in (1, 2, 4, 8) for order in ("big", "little") for n in (0, 1)]
LIMITS += [b"\xff" * size for size in (1, 2, 4, 8)]
LIMITS += [b"\x7f" + b"\xff" * size for size in (1, 3, 7)] + [b"\xff" * size + b"\x7f" for size in (1, 3, 7)]


def flip(data, rng):
    """One to sixteen bits are turned over, anywhere."""
    changed = bytearray(data)
    for _ in range(rng.randint(1, 16)):
        changed[_place(data, rng)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def cut(data, rng):
    """The end is missing, or the beginning, or a part of the middle."""
    start, end = sorted((_place(data, rng), rng.randint(0, len(data))))
    return rng.choice([data[:end], data[start:], data[:start] + data[end:]])


def swap(data, rng):
    """Two parts of equal length change places."""
    first, second = sorted((_place(data, rng), _place(data, rng)))
    size = min(rng.randint(1, 64), second - first, len(data) - second)
    parts = data[:first], data[second : second + size], data[first + size : second], data[first : first + size]
    return b"".join(parts) + data[second + size :]


def splice(data, rng):
    """A part of the file stands in another place too, over or between what is there."""
    start, at = _place(data, rng), _place(data, rng)
    part = data[start : start + rng.randint(1, 256)]
    return data[:at] + part + data[at + rng.choice([0, len(part)]) :]


def limit(data, rng):
    """Some bytes, of the beginning as often as of the rest, become a number at its limit."""
    value, at = rng.choice(LIMITS), _place(data[: rng.choice([32, len(data)])], rng)
    return data[:at] + value + data[at + len(value) :]


def noise(data, rng):
    """Random bytes as long as a part of the file, in its place."""
    start = _place(data, rng)
    size = rng.randint(1, 64)
    return data[:start] + rng.randbytes(size) + data[start + size :]


KINDS = (flip, cut, swap, splice, limit, noise)


def mutations(data, count, seed=0):
    """Yield ``count`` damaged variants of ``data`` with what was done to each: ``"cut of seed 0, number 3"``.

    The first is empty; the others take the kinds in turn. The same arguments give the same variants.
    """
    yield "empty", b""
    for number in range(1, count):
        kind = KINDS[number % len(KINDS)]
        rng = random.Random(f"{seed} {number}")
        yield f"{kind.__name__} of seed {seed}, number {number}", kind(data, rng) if data else rng.randbytes(number)


def _place(data, rng):
    return rng.randrange(max(1, len(data)))
