"""Wrong use is answered in one line that names the cure; nothing of the script has run by then."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.package.command.running import LOOP, SETUP, Start
from tests.package.running import write

ANSWERS = {
    "": "which script? companion train.py, or companion -m package.train",
    "--": "which script? companion train.py, or companion -m package.train",
    "trian.py": "no such script: 'trian.py'; did you mean train.py?",
    "train": "no such script: 'train'; did you mean train.py?",
    "deep/none.py": "no such script: 'deep/none.py'; to run a module: -m deep/none.py",
    "package": "'package' is a folder without a __main__.py; name the script in it, such as "
    f"package{os.sep}pretrain.py",
    "empty": "'empty' is a folder without a __main__.py; name the script in it, such as "
    f"empty{os.sep}train.py",
    "broken.ipynb": "broken.ipynb is no notebook: Expecting",
    "old.ipynb": "old.ipynb has no list of cells, as notebooks have since version 4; jupyter nbc",
    "julia.ipynb": "julia.ipynb is written in 'julia'; companion runs Python",
    "--steps x train.py": "--steps: must be a whole number, 1 or more, not 'x'",
    "--steps 0 train.py": "--steps: must be a whole number, 1 or more, not '0'",
    "--every 0 train.py": "--every: must be a whole number, 1 or more, not '0'",
    "--stpes 3 train.py": "no option is called '--stpes'; did you mean --steps? (the script's own",
    "--lr=3 train.py": "no option is called '--lr'; --help lists them (the script's own stand",
    "--ignore acumulates train.py": "--ignore: no rule is called 'acumulates'; did you mean accu",
    "--select no-batch,xyz train.py": "--select: no rule is called 'xyz'; `companion rules` lists",
    "--ignore , train.py": "--ignore: names no rule; `companion rules` lists them",
    "--fail-on always train.py": "--fail-on: invalid choice: 'always' (choose from",
    "--format json train.py": "--format json needs --output FILE: stdout and stderr are the scri",
    "--json none/report.json train.py": "--json: no file can be written there: ",
    "--html . train.py": "--html: no file can be written there: ",
    "--output none/report train.py": "--output: no file can be written there: ",
    "explain acumulates": "no rule is called 'acumulates'; did you mean accumulates?",
}


@pytest.mark.parametrize("words", ANSWERS)
def test_one_line(words: str, start: Start, tmp_path: Path) -> None:
    write(tmp_path, "print(1)", "train.py")
    write(tmp_path, "print(1)", "package/pretrain.py")
    write(tmp_path, "{", "broken.ipynb")
    write(tmp_path, '{"worksheets": []}', "old.ipynb")
    write(
        tmp_path, '{"cells": [], "metadata": {"kernelspec": {"language": "julia"}}}', "julia.ipynb"
    )
    (tmp_path / "empty").mkdir()
    ran = start(*words.split())
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert ANSWERS[words] in line


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_unreadable(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "print(1)", "train.py")
    (tmp_path / "train.py").chmod(0)
    (line,) = start("train.py").err.splitlines()
    assert "'train.py' cannot be read by this user; chmod u+r train.py" in line


# Scripts that fail before they train, and the first line that is said of it.
EARLY = {
    "import nosuch": "ModuleNotFoundError: No module named 'nosuch'; install it for ",
    "1 / 0": "ZeroDivisionError: division by zero",
    "raise SystemExit(2)": "with exit code 2",
    "raise SystemExit('no data')": "with these words",
}


@pytest.mark.parametrize("text", EARLY)
def test_a_script_that_fails_before_it_trains(text: str, start: Start, tmp_path: Path) -> None:
    write(tmp_path, text)
    ran = start("script.py", whole=True)
    first = ran.err.splitlines()[0]
    assert first.startswith("companion: the script ended before any training")
    assert EARLY[text] in first
    assert "no training loop ran" not in ran.err


def test_a_module_that_is_not_there(start: Start, tmp_path: Path) -> None:
    ran = start("-m", "nosuch", whole=True)
    ours, pythons = ran.err.splitlines()
    assert ours.startswith("companion: there is no such module to run, so nothing ran: go to the")
    assert pythons.endswith("No module named nosuch")
    assert ran.code == 1


HINT = "companion: --steps stands behind the script's name, so the script got it"
PARSES = "import argparse\nparser = argparse.ArgumentParser()\n{}\nprint(parser.parse_args())\n"


def test_options_behind_the_scripts_name(start: Start, tmp_path: Path) -> None:
    """The script gets them all the same; they are said where its code never names them."""
    write(tmp_path, "import sys\nprint(sys.argv)\n" + SETUP + LOOP)
    for option in "--steps", "--steps=9":
        ran = start("script.py", option, "9").well()
        assert HINT in ran.err
        assert ran.out.startswith(f"['script.py', '{option}', '9']\n")
        assert ran.err.startswith("companion: watched 3 steps, ")
    write(tmp_path, PARSES.format(""))
    ran = start("script.py", "--steps", "9")
    assert ran.code == 2
    assert HINT in ran.err
    write(tmp_path, PARSES.format("parser.add_argument('--steps')"))
    assert HINT not in start("script.py", "--steps", "9").well().err
    write(tmp_path, "import options\n" + PARSES.format("options.add(parser)"))
    write(tmp_path, "def add(parser):\n    parser.add_argument('--steps')\n", "options.py")
    assert HINT not in start("script.py", "--steps", "9").well().err
    write(tmp_path, "def train(no_guard): pass\n")  # what makes an option of it is a library's
    assert "stands behind" not in start("script.py", "--no-guard").well().err
    assert "stands behind" not in start("script.py", "--epochs", "9").well().err
