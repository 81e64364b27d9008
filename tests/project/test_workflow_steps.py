"""What the longer steps of the workflows do, done here: their own commands, in a folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import ROOT
from tests.package.running import Ran, run
from tests.project.workflows import STEPS, command, run_step

MAIN = command("release", "build", "Refuse a tag that is not on main")
TAG = command("release", "build", "Compare the tag with the version and the changelog")
RELEASE = command("release", "github", "Create the release")
PUSH = command("book", "notebooks", "Push the branch")
UNPIN = command("weekly", "outputs", "Take torch off the pins, and install")


def released(folder: Path, tag: str, changelog: str) -> Ran:
    """Version 1.2.3 with this changelog, and somebody pushes this tag."""
    pytest.importorskip("tomllib")  # the step runs on Python 3.11
    (folder / "bin").mkdir()
    (folder / "bin/python").symlink_to(sys.executable)
    (folder / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "1.2.3"\n')
    (folder / "CHANGELOG.md").write_text(changelog)
    path = f"{folder / 'bin'}:/usr/bin:/bin"
    return run_step(TAG, folder, PATH=path, GITHUB_REF_NAME=tag)


OLDER = "## [1.2.2] - 2026-01-01\n\nOlder.\n"
GOOD = f"""\
# Changelog

## [Unreleased]

Later.

## [1.2.3] - 2026-01-31

### Added

- A.

{OLDER}"""


def test_the_right_tag_is_released_with_its_notes(tmp_path: Path) -> None:
    released(tmp_path, "v1.2.3", GOOD).well()
    assert (tmp_path / "dist/notes.md").read_text() == "\n### Added\n\n- A.\n\n"


@pytest.mark.parametrize("tag", ["v1.2.4", "1.2.3", "v1.2.3-rc1", "v1.2", "v1.2.30"])
def test_another_tag_is_refused(tmp_path: Path, tag: str) -> None:
    done = released(tmp_path, tag, GOOD)
    assert done.code == 1
    assert f"the tag is {tag}, but pyproject.toml says 1.2.3" in done.out


@pytest.mark.parametrize("section", ["", "## [1.2.3] - 2026-01-31\n\n", "## [1.2.3]\n\n- A.\n\n"])
def test_a_release_that_the_changelog_does_not_tell_is_refused(
    tmp_path: Path, section: str
) -> None:
    done = released(tmp_path, "v1.2.3", f"# Changelog\n\n{section}{OLDER}")
    assert done.code == 1
    assert "CHANGELOG.md has no section '## [1.2.3] - DATE'" in done.out


def test_a_release_has_all_files_and_the_notes(tmp_path: Path) -> None:
    """With a `gh` that writes down what it is asked for; the real one would release."""
    files = tmp_path / "files"
    files.mkdir()
    for name in ("a.whl", "a.tar.gz", "course.pdf", "course-site.zip", "notes.md"):
        (files / name).touch()
    asked, gh = tmp_path / "asked", tmp_path / "gh"
    gh.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {asked}\n')
    gh.chmod(0o755)
    path = f"{tmp_path}:/usr/bin:/bin"
    run_step(RELEASE, tmp_path, PATH=path, GITHUB_REF_NAME="v1.2.3").well()
    words = asked.read_text().split()
    assert words[:3] == ["release", "create", "v1.2.3"]
    attached = {word for word in words if word.startswith("files/")}
    assert attached == {
        f"files/{name}" for name in ("a.whl", "a.tar.gz", "course.pdf", "course-site.zip")
    }
    assert words[words.index("--notes-file") + 1] == "notes.md"
    assert (tmp_path / "notes.md").exists()


@pytest.mark.parametrize("merged", [True, False])
def test_a_tag_that_is_not_on_main_is_refused(tmp_path: Path, merged: bool) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    git(tmp_path, "init", "--quiet", "--initial-branch", "main", str(there))
    git(there, "commit", "--quiet", "--allow-empty", "--message", "first")
    git(there, "checkout", "--quiet", "-b", "draft")
    git(there, "commit", "--quiet", "--allow-empty", "--message", "second")
    sha = git(there, "rev-parse", "HEAD").strip()
    git(there, "checkout", "--quiet", "main")
    if merged:
        git(there, "merge", "--quiet", "draft")
        git(there, "commit", "--quiet", "--allow-empty", "--message", "main has gone on")
    git(tmp_path, "clone", "--quiet", str(there), str(here))
    done = run_step(MAIN, here, GITHUB_SHA=sha, GITHUB_REF_NAME="v1.2.3")
    assert done.code == (0 if merged else 1), done.err
    assert ("the tag v1.2.3 is not on main; merge" in done.out) != merged


def test_an_artifact_is_one_folder() -> None:
    """Then its files come out beside each other; with two folders they would stay in them."""
    uploads = [step for *_, step in STEPS if "upload-artifact@" in step.get("uses", "")]
    assert len(uploads) == 2
    for step in uploads:
        assert {str(Path(path).parent) for path in step["with"]["path"].split()} == {"dist"}


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.invalid"]
    return run(folder, "git", *identity, *arguments).well().out


def test_the_branch_of_the_notebooks_has_no_past_and_no_workflow(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there.git"
    git(tmp_path, "init", "--quiet", "--bare", str(there))
    git(tmp_path, "init", "--quiet", str(here))
    git(here, "remote", "add", "origin", str(there))
    (here / ".github/workflows").mkdir(parents=True)
    (here / ".github/workflows/test.yml").touch()
    (here / "book").mkdir()
    notebook = here / "book/01.ipynb"
    notebook.write_text("no address\n")
    git(here, "add", "--all")
    git(here, "commit", "--quiet", "--message", "first")
    before = git(here, "rev-parse", "HEAD")

    for address in ("first address\n", "second address\n"):  # the second is forced over the first
        notebook.write_text(address)
        run_step(PUSH, here, BRANCH="published", GITHUB_SHA="0123").well()
        assert git(there, "show", "published:book/01.ipynb") == address
        assert git(there, "ls-tree", "-r", "--name-only", "published") == "book/01.ipynb\n"
        assert git(there, "rev-list", "--count", "published") == "1\n"
    assert git(here, "rev-parse", "HEAD") == before


def test_torch_alone_is_taken_off_the_pins(tmp_path: Path) -> None:
    pins = (ROOT / "constraints.txt").read_text()
    (tmp_path / "constraints.txt").write_text(pins)
    (tmp_path / "Makefile").write_text(".venv/ready:\n\t@echo installed\n")
    done = run_step(UNPIN, tmp_path)
    assert done.out == "installed\n", done.err
    gone = set(pins.splitlines()) - set((tmp_path / "constraints.txt").read_text().splitlines())
    assert {line.partition("==")[0] for line in gone} == {"torch", "torchvision"}
