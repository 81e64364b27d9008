"""Each notebook is executed and each output compared; what the pages of words say is so."""

import pytest

from tests import CHAPTERS

each_chapter = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
