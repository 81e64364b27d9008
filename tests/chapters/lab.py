"""A real JupyterLab or Notebook 7 on a free port, for the tests that look at one."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

import pytest

START = 60  # seconds that a server, and then a kernel with torch, may take


@contextmanager
def jupyter(command: list[str], settings: Path, cwd: Path, **options: object) -> Iterator[str]:
    """The address of the server that this command starts, with settings of its own in a folder.

    An option is named as Jupyter names it, with two underscores for the dot.
    """
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    quiet: dict[str, object] = {
        "ServerApp__port": port,
        "ServerApp__port_retries": 0,
        "ServerApp__open_browser": False,
        "ServerApp__allow_root": True,
        "IdentityProvider__token": "",
        "LabApp__news_url": None,
        "LabApp__check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "LabApp__user_settings_dir": str(settings / "settings"),
        "LabApp__workspaces_dir": str(settings / "workspaces"),
        "NotebookNotary__db_file": ":memory:",  # nothing is trusted beforehand
    }
    config: dict[str, dict[str, object]] = {}
    for name, value in {**quiet, **options}.items():
        owner, _, option = name.partition("__")
        config.setdefault(owner, {})[option] = value
    for name in ("lab", "notebook"):
        (settings / f"jupyter_{name}_config.json").write_text(json.dumps(config))
    log = settings / "server.log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, "JUPYTER_CONFIG_DIR": str(settings)},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    address = f"http://localhost:{port}"
    try:
        for _ in range(START * 5):
            assert server.poll() is None, log.read_text()
            try:
                with urlopen(f"{address}/api/status"):
                    break
            except OSError:
                time.sleep(0.2)
        else:
            pytest.fail(log.read_text())
        yield address
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)
