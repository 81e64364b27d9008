"""The workflows: valid, pinned, with no more permissions than they need, and of real commands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from tests import ROOT, TARGETS
from tests.package.running import Ran, python, run
from tests.project.workflows import FILES, JOBS, STEPS, WORKFLOWS

# All that each job may do, and why it must: nothing else is granted anywhere.
PERMISSIONS = {
    ("test", "whole"): {"contents": "read"},
    ("test", "package"): {"contents": "read"},
    ("book", "build"): {"contents": "read", "pages": "read"},  # asks for the site's address
    ("book", "deploy"): {"pages": "write", "id-token": "write"},
    ("book", "notebooks"): {"contents": "write"},  # pushes the branch `published`
    ("release", "build"): {"contents": "read", "pages": "read"},
    ("release", "pypi"): {"id-token": "write"},  # trusted publishing
    ("release", "github"): {"contents": "write"},  # creates the release
    ("weekly", "package"): {"contents": "read"},
    ("weekly", "outputs"): {"contents": "read"},
    ("weekly", "everything"): {"contents": "read"},
    ("weekly", "colab"): {"contents": "read"},
    ("weekly", "audit"): {"contents": "read"},
}
SCHEMAS = {
    ".github/workflows/*.yml": "github-workflows",
    ".github/ISSUE_TEMPLATE/[!c]*.yml": "github-issue-forms",
    ".github/ISSUE_TEMPLATE/config.yml": "github-issue-config",
    ".github/dependabot.yml": "dependabot",
    "CITATION.cff": "citation-file-format",
}
PUBLISHED_BY_PEOPLE = [*FILES, *ROOT.glob(".binder/*"), *ROOT.glob(".devcontainer/*")]
PYTHONS = re.findall(
    r'"Programming Language :: Python :: (3\.\d+)"', (ROOT / "pyproject.toml").read_text()
)
INJECTED = """\
on: pull_request
permissions: {}
jobs:
  one:
    runs-on: ubuntu-latest
    steps:
      - run: echo "${{ github.head_ref }}"
"""


def tool(name: str, *arguments: str | Path) -> Ran:
    """Run a command of the project's environment."""
    return run(ROOT, Path(sys.executable).with_name(name), *arguments)


# Validators that others wrote; both work without a network.


def validated(schema: str, *files: Path) -> tuple[int, list[str]]:
    """What the command `check-jsonschema` says, called here: it takes a second to be imported."""
    from check_jsonschema import main

    options = ["--builtin-schema", f"vendor.{schema}", "--output-format", "json"]
    done = CliRunner().invoke(main, [*options, *map(str, files)])
    return done.exit_code, [str(error) for error in json.loads(done.stdout)["errors"]]


@pytest.mark.parametrize("files", SCHEMAS)
def test_schema(files: str) -> None:
    assert validated(SCHEMAS[files], *ROOT.glob(files)) == (0, [])


def test_every_file_for_github_has_a_schema() -> None:
    files = {*ROOT.glob(".github/**/*.yml"), *ROOT.glob(".github/**/*.yaml")}
    assert files == {path for glob in SCHEMAS for path in ROOT.glob(glob)} - {ROOT / "CITATION.cff"}
    assert len(files) >= 8


def test_a_schema_objects_to_a_wrong_file(tmp_path: Path) -> None:
    wrong = tmp_path / "form.yml"
    wrong.write_text("name: a form\ndescription: without a body\n")
    code, errors = validated("github-issue-forms", wrong)
    assert code == 1
    assert "'body' is a required property" in "".join(errors)


def test_nothing_that_a_workflow_could_be_abused_for(tmp_path: Path) -> None:
    options = ["--offline", "--pedantic", "--collect=all", "--strict-collection", "--no-progress"]
    done = tool("zizmor", *options, ROOT / ".github", ROOT / ".pre-commit-config.yaml").well()
    assert all(f"completed {path}" in done.err for path in FILES), done.err

    (tmp_path / "injected.yml").write_text(INJECTED)
    assert tool("zizmor", *options, tmp_path / "injected.yml").code != 0


# Our own rules.


def test_actions_are_pinned_by_hash_and_say_their_version() -> None:
    lines = [line.strip() for path in FILES for line in path.read_text().splitlines()]
    uses = [line.removeprefix("- ") for line in lines if re.match(r"(- )?uses:", line)]
    assert len(uses) == len([1 for *_, step in STEPS if "uses" in step])
    pins: dict[str, set[str]] = {}
    for line in uses:
        match = re.fullmatch(r"uses: ([\w-]+/[\w-]+)(@[0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
        assert match, line
        pins.setdefault(match[1], set()).add(match[2])
    assert [action for action, versions in pins.items() if len(versions) > 1] == []


def test_permissions() -> None:
    assert [name for name, whole in WORKFLOWS.items() if whole["permissions"] != {}] == []
    assert {job: content["permissions"] for job, content in JOBS.items()} == PERMISSIONS


def test_only_the_job_that_pushes_keeps_the_token_in_its_checkout() -> None:
    keeps = {
        (workflow, job)
        for workflow, job, step in STEPS
        if step.get("uses", "").startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    }
    assert keeps == {("book", "notebooks")}


def test_jobs_that_may_write_install_nothing() -> None:
    writing = {job for job, granted in PERMISSIONS.items() if "write" in granted.values()}
    for workflow, job, step in STEPS:
        if (workflow, job) in writing:
            assert not re.search(r"\b(pip|uv|npm|apt-get)\b", step.get("run", "")), (workflow, job)


def test_no_secret_but_the_token_of_the_run() -> None:
    for path in FILES:
        assert "secrets" not in path.read_text(), path.name


def test_text_from_outside_comes_into_a_command_by_its_environment() -> None:
    assert len([step for *_, step in STEPS if "run" in step]) > 10
    for *_, step in STEPS:
        assert "${{" not in step.get("run", ""), step


def test_only_main_is_published_and_its_notebooks_with_its_pages() -> None:
    assert WORKFLOWS["book"][True]["push"] == {"branches": ["main"]}  # YAML reads `on` as True
    notebooks = JOBS["book", "notebooks"]
    assert notebooks["if"] == "github.ref == 'refs/heads/main'"
    assert notebooks["needs"] == ["build", "deploy"]


def test_a_release_sees_the_whole_history_before_anything_runs() -> None:
    checkout, *rest = JOBS["release", "build"]["steps"]
    assert checkout["with"]["fetch-depth"] == 0
    refusal = next(step for step in rest if "run" in step)
    assert refusal["name"] == "Refuse a tag that is not on main"


def test_every_job_ends() -> None:
    assert {job: content["timeout-minutes"] for job, content in JOBS.items()}.keys() == JOBS.keys()
    for whole in WORKFLOWS.values():
        assert "concurrency" in whole


def test_commands_exist() -> None:
    scripts = [step["run"] for *_, step in STEPS if "run" in step]
    targets = {found for run in scripts for found in re.findall(r"\bmake ([\w./-]+)", run)}
    assert {"address", "book", "candidate", "audit"} <= targets - {".venv/ready"} <= TARGETS
    ours = r"(?:\.ci|tests|tools|book)/[\w./]*\w"
    paths = {found for run in scripts for found in re.findall(ours, run)}
    assert paths == {".ci/run", "tools/matrix.py", "tests/chapters/test_notebooks.py"}
    for path in paths:
        assert (ROOT / path).exists(), path


def test_the_matrix_takes_what_it_is_given() -> None:
    rows = JOBS["test", "package"]["strategy"]["matrix"]
    given = {*rows["torch"], *(row["torch"] for row in rows["include"])}
    assert given == {"newest", "oldest"}
    assert "--torch " in python(ROOT, "tools/matrix.py", "--help").well().out
    words = (ROOT / "tools/matrix.py").read_text()
    assert all(f'"{torch}"' in words for torch in given)


def test_every_python_and_system_is_tested() -> None:
    assert len(PYTHONS) >= 4
    rows = JOBS["test", "package"]["strategy"]["matrix"]
    assert rows["python"] == PYTHONS
    assert {row["os"] for row in rows["include"]} == {
        "ubuntu-latest",
        "macos-latest",
        "windows-latest",
    }
    for system in ("macos-latest", "windows-latest"):
        tested = {row["python"] for row in rows["include"] if row["os"] == system}
        assert {PYTHONS[0], PYTHONS[-1]} <= tested, system
    weekly = JOBS["weekly", "package"]["strategy"]["matrix"]
    assert weekly["python"] == PYTHONS


def test_what_is_newest_is_not_held_back_by_our_pins() -> None:
    """uv reads the pins of pyproject.toml, too, unless it is told not to."""
    free = [
        {
            **WORKFLOWS[workflow].get("env", {}),
            **JOBS[workflow, job].get("env", {}),
            **step.get("env", {}),
        }
        for workflow, job, step in STEPS
        if "matrix.py" in step.get("run", "") or workflow == "weekly"
    ]
    assert len(free) > 10
    assert {environment.get("UV_NO_CONFIG") for environment in free} == {"1"}


def test_no_host_is_named() -> None:
    """A mirror, a fork or another registry is the business of the one who runs it."""
    for path in PUBLISHED_BY_PEOPLE:
        text = path.read_text()
        assert "://" not in text, path.name
        assert not re.search(r"\b[\w-]+\.(org|io|com|net|dev)\b", text), path.name


def test_uv_is_the_same_everywhere() -> None:
    pins = {pin for path in PUBLISHED_BY_PEOPLE for pin in re.findall(r"uv==\S+", path.read_text())}
    assert len(pins) == 1


def test_actions_are_kept_new() -> None:
    updates = yaml.safe_load((ROOT / ".github/dependabot.yml").read_text())["updates"]
    assert [update["package-ecosystem"] for update in updates] == ["github-actions"]
