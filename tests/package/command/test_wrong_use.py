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
    "train.txt": "no such script: 'train.txt'; did you mean train.py?",
    "broken.py": "no such script: 'broken.py'; did you mean broken.ipynb?",
    "package/pretrain.txt": "no such script: 'package/pretrain.txt'; did you mean package",
    "package.pretrain": "no such script: 'package.pretrain'; to run a module: -m package.pretrain",
    "package.nope": "no such script: 'package.nope'; in this folder there are ",
    "token.train": "no such script: 'token.train'; in this folder there are ",
    "nope.py": "no such script: 'nope.py'; in this folder there are train.py, broken.ipynb, ",
    "package/nope.py": "no such script: 'package/nope.py'; in package there is pretrain.py",
    "empty/nope.py": "no such script: 'empty/nope.py'; no script is in empty",
    "deep/none.py": "no such script: 'deep/none.py'; there is no folder 'deep'",
    "nowhere.train": "no such script: 'nowhere.train'; in this folder there are ",
    "json": "no such script: 'json'; to run a module: -m json",
    "python train.py": "no such script: 'python'; without it: companion train.py",
    "rule": "no such script: 'rule'; did you mean companion rules?",
    "explian accumulates": "no such script: 'explian'; did you mean companion explain RULE?",
    "acumulates": "no such script: 'acumulates'; did you mean companion explain accumulates?",
    "help": "no such script: 'help'; did you mean companion --help?",
    "link.py": "no such script: 'link.py'; it is a link that leads nowhere",
    "train.py/": "no such script: 'train.py/'; did you mean train.py?",
    "-m package/pretrain": "-m takes the name of a module, with dots: -m package.pretrain",
    "-m train.py": "-m takes the name of a module, and this is a file: companion train.py",
    "-mtrain": "behind -m stands a space: -m train",
    "package": "'package' is a folder without a __main__.py; name the script in it, such as "
    f"package{os.sep}pretrain.py",
    "empty": "'empty' is a folder without a __main__.py, and no script is in it",
    "broken.ipynb": "broken.ipynb is no notebook: Expecting",
    "old.ipynb": "old.ipynb has no list of cells, as notebooks have since version 4; jupyter nbc",
    "julia.ipynb": "julia.ipynb is written in 'julia'; companion runs Python",
    "--steps x train.py": "--steps: must be a whole number, 1 or more, not 'x'",
    "--steps 0 train.py": "--steps: must be a whole number, 1 or more, not '0'",
    "--every 0 train.py": "--every: must be a whole number, 1 or more, not '0'",
    "--stpes 3 train.py": "no option is called '--stpes'; did you mean --steps? (the script's own",
    "--list": "no option is called '--list'; did you mean companion rules? (the script's own",
    "--stpes": "no option is called '--stpes'; did you mean --steps? (the script's own",
    "-c print(1)": "no option is called '-c'; did you mean companion -, with the code on standard",
    "--explain accumulates": "no option is called '--explain'; did you mean companion explain RULE",
    "--steps": "--steps needs a value: --steps N",
    "--stop=3 train.py": "--stop takes no value, and here it has got '3'",
    "--json train.py": "which script? --json has taken train.py: companion --json FILE train.py",
    "--json train.py old.py": "no such script: 'old.py'; ",
    "--html package/pretrain.py train.py": "--html: that would write over a script: ",
    "--lr=3 train.py": "no option is called '--lr'; --help lists them (the script's own stand",
    "--ignore acumulates train.py": "--ignore: no rule is called 'acumulates'; did you mean accu",
    "--select no-batch,xyz train.py": "--select: no rule is called 'xyz'; `companion rules` lists",
    "--ignore , train.py": "--ignore: names no rule; `companion rules` lists them",
    "--fail-on always train.py": "--fail-on: invalid choice: 'always' (choose from",
    "--format json train.py": "--format json needs --output FILE: stdout and stderr are the scri",
    "--json none/report.json train.py": "--json: no file can be written there: ",
    "--html . train.py": "--html: no file can be written there: ",
    "--output none/report train.py": "--output: no file can be written there: ",
    "explain": "explain: which rule? companion explain accumulates; `companion rules` lists them",
    "explain --all": "explain: no option is called '--all'; names of rules stand here, and nothing",
    "explain ACCUMULATES": "no rule is called 'ACCUMULATES'; did you mean accumulates",
    "rules accumulates": "rules: 'accumulates' is too much: companion explain accumulates",
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
    (tmp_path / "link.py").symlink_to("nowhere")
    ran = start(*words.split())
    assert (ran.code, ran.out) == (2, "")
    (line,) = ran.err.splitlines()
    assert ANSWERS[words] in line
    assert (tmp_path / "train.py").read_text() == "print(1)"


def test_in_a_narrow_terminal_it_is_broken_between_words(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "print(1)", "train.py")
    ran = start("--list", "train.py", variables={"COLUMNS": "60"})
    assert all(len(line) <= 60 for line in ran.err.splitlines())
    whole = start("--list", "train.py").err
    assert ran.err.split() == whole.split()


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root reads all")
def test_unreadable(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "print(1)", "train.py")
    (tmp_path / "train.py").chmod(0)
    (line,) = start("train.py").err.splitlines()
    assert "'train.py' cannot be read by this user; chmod u+r train.py" in line


# Scripts that fail before they train, and the first line that is said of it.
EARLY = {
    "a = = 1": "SyntaxError: invalid syntax, line 1",
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


def test_a_package_that_cannot_be_run(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "", "package/__init__.py")
    ran = start("-m", "package", whole=True)
    assert ran.err.startswith("companion: this package has no __main__ module, so nothing ran: na")
    assert ran.code == 1


def test_an_empty_script(start: Start, tmp_path: Path) -> None:
    write(tmp_path, "")
    ran = start("script.py").well()
    assert ran.err == "companion: no training loop ran in this process: script.py is empty\n"


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
