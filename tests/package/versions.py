"""What the oldest PyTorch that `companion` allows cannot do yet."""

from __future__ import annotations

import pytest
import torch


def since(version: str, why: str) -> pytest.MarkDecorator:
    """Skip a test under a PyTorch before the first that is known to pass it."""
    old = torch.__version__ < version  # compares as versions do, not as text
    return pytest.mark.skipif(old, reason=f"PyTorch before {version}: {why}")
