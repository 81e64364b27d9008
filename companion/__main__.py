"""`python -m companion`: the door to `companion.command`."""

from __future__ import annotations

from companion.command.main import main

__all__ = ["main"]

if __name__ == "__main__":
    main()
