"""The player: a trace as a fragment of HTML, and the page that holds it."""

from __future__ import annotations

from companion.render.player.fragment import ASSETS, CLASSES, Player, across, page, player

__all__ = ["ASSETS", "CLASSES", "Player", "across", "page", "player"]
