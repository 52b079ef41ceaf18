"""The tests of servers run over both layers, but for files that are named."""

from __future__ import annotations

import pytest

from kit.layers import ONE_LAYER, TESTS


@pytest.mark.parametrize("pattern", ONE_LAYER)
def test_files_that_run_over_one_layer_exist(pattern: str) -> None:
    assert list(TESTS.glob(pattern))
