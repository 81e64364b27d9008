"""Every test begins with the same random numbers, whichever ran before it."""

from __future__ import annotations

import pytest
import torch

from companion.tracing.sources.choice import VARIABLE
from tests.package.sources import SOURCES

# `torch.manual_seed` writes the whole stack down for each kind of device that is not there.
NO_DEVICE = not torch.accelerator.is_available()
seed = torch.default_generator.manual_seed if NO_DEVICE else torch.manual_seed


@pytest.fixture(autouse=True)
def seeded() -> None:
    seed(0)


@pytest.fixture(params=SOURCES)
def source(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each source in turn; processes that the test starts hear from it as well."""
    monkeypatch.setenv(VARIABLE, request.param)
    return str(request.param)
