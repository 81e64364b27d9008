"""Lightning, where a step uses the layers of its network one by one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.package.frameworks.running import watched
from tests.package.frameworks.scripts import SOUND

pytestmark = pytest.mark.weekly


def test_a_slice_in_a_training_step(tmp_path: Path) -> None:
    script = SOUND["lightning"]
    ran = watched(tmp_path, script.replace("self.net(x)", "self.net[1:](self.net[:1](x))"))
    assert "companion: watched 3 steps inside lightning.Trainer.fit(), no findings\n" in ran.err
    assert "self.net[1:](self.net[:1](x))" in ran.err
