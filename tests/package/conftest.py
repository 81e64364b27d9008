"""Every test begins with the same random numbers, whichever ran before it."""

from __future__ import annotations

import pytest
import torch

from companion.tracing.sources.choice import VARIABLE
from tests.package.sources import SOURCES


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each source in turn; processes that the test starts hear from it as well."""
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)
