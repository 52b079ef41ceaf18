"""Run the tests of servers over both layers that their connections can wait by."""

from __future__ import annotations

from kit.layers import layer, pytest_generate_tests

__all__ = ["layer", "pytest_generate_tests"]
