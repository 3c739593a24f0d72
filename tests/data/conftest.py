"""What tests of data sets share."""

import gc
import warnings

import pytest


@pytest.fixture
def closes_files():
    """The test fails if a file was left open; other warnings, as Pillow's about what it finds, are ignored."""
    gc.collect()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", ResourceWarning)
        yield
        gc.collect()
    assert [str(warning.message) for warning in caught] == []
