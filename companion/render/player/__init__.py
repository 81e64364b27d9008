"""The player: a trace as a fragment of HTML, and the page that holds it."""

from __future__ import annotations

from companion.render.player.fragment import CLASSES, Player, asset, page, player

__all__ = ["CLASSES", "Player", "asset", "page", "player"]
