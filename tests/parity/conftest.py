"""Run the tests of both libraries over both layers of the one that has any."""

from __future__ import annotations

import pytest

from kit.layers import layer, pytest_generate_tests
from parity.libraries import SOCKETSERVER

__all__ = ["layer", "pytest_generate_tests"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leave out the second run of what socketserver does, which has no layers."""
    items[:] = [item for item in items if not _is_second_run(item)]


def _is_second_run(item: pytest.Item) -> bool:
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    return (
        parameters.get("library") is SOCKETSERVER
        and parameters.get("layer") == "portable"
    )
