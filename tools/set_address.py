"""Say where the repository of the course is: `make address URL=https://HOST/OWNER/NAME`.

The address stands in `_config.yml`. This writes it there, and carries it to each place that must
name it: the links of the package, the first cell of every notebook, README, CITATION.cff and the
first page of the book. Without URL it says what is set; `URL=none` takes it out everywhere.

Only the standard library is used, and nothing has to be installed: a workflow can run it first.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "book/_ext"))
from repository import Address  # noqa: E402

SETTINGS = {  # where each stands in _config.yml
    "repository": r"(?<=\n    course_repository: )\S+",
    "branch": r"(?<=\n    course_branch: )\S+",
    "site": r"(?<=\n  baseurl: )\S+",
}
FIRST = "book/01_training_routine.ipynb"
COLAB = "On Colab there is nothing to install: the first cell of a notebook gets the package."
SETUP = "setup"  # the tag of a notebook's first code cell
OURS = """
import companion

if not hasattr(companion, "digits"):
    where = getattr(companion, "__file__", None) or [*companion.__path__][0]
    raise ImportError(
        f"{where} is another 'companion', not the course's. Remove or rename it; "
        "if pip installed it: pip uninstall companion training-routine. "
        "Then restart the kernel."
    )"""


def read(root: Path = ROOT) -> Address:
    """What `_config.yml` says."""
    config = (root / "_config.yml").read_text(encoding="utf-8")
    found = {name: re.search(pattern, config) for name, pattern in SETTINGS.items()}
    missing = [name for name, match in found.items() if match is None]
    if missing:
        raise ValueError(f"_config.yml has no line for {', '.join(missing)}")
    return Address(**{name: match.group().strip('"') for name, match in found.items() if match})


def written(address: Address, root: Path = ROOT) -> dict[Path, str]:
    """The text of every file that names the address, as it should be."""
    writers = {
        "_config.yml": _config,
        "pyproject.toml": _pyproject,
        "README.md": _readme,
        "CITATION.cff": _citation,
        "book/index.md": _index,
    }
    writers |= {str(path.relative_to(root)): _notebook for path in notebooks(root)}
    return {
        root / name: write((root / name).read_text(encoding="utf-8"), address)
        for name, write in writers.items()
    }


def notebooks(root: Path = ROOT) -> list[Path]:
    """Those that import the course's package: the chapters and the guide."""
    found = sorted((root / "book").glob("*.ipynb"))
    return [path for path in found if path.name != "then_and_now.ipynb"]


def setup_cell(address: Address) -> str:
    """The first code cell of every notebook: gets the package where it is missing.

    It asks for the distribution: a folder beside the notebook, or another's package, can be called
    `companion` too. What the two forms do not share is what happens where it is missing.
    """
    if not address.repository:
        return f"""\
from importlib.metadata import PackageNotFoundError, version

try:
    version("training-routine")
except PackageNotFoundError:
    raise ModuleNotFoundError(
        "This notebook needs the package of its course. In a copy of the course's "
        'repository, run: python -m pip install ".[course]"'
    ) from None
{OURS}"""
    return f"""\
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version

try:
    version("training-routine")
except PackageNotFoundError:  # as on Colab; PyTorch stays as it is
    pip = [sys.executable, "-m", "pip", "install", "-qq", "--no-deps"]
    course = "git+{address.repository}@{address.branch}"
    done = subprocess.run([*pip, course], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(
            f"pip could not install training-routine from {{course}}:\\n{{done.stderr}}"
        ) from None
{OURS}"""


def _config(text: str, address: Address) -> str:
    values = {
        "repository": f'"{address.repository}"',
        "branch": f'"{address.branch}"',  # or YAML would read no, null and 007 as no text
        "site": f'"{address.site}"',
    }
    for name, pattern in SETTINGS.items():
        text = re.sub(pattern, values[name], text, count=1)  # no value has a backslash
    return text


def _block(text: str, mark: str, content: str, comment: tuple[str, str] = ("<!-- ", " -->")) -> str:
    """Replace what stands between two marked lines."""
    begin, end = (f"{comment[0]}{mark}{comment[1]}" for mark in (mark, f"end of {mark}"))
    if text.count(f"{begin}\n") != 1 or text.count(end) != 1:
        raise ValueError(f"the lines {begin!r} and {end!r} must each stand there once")
    before, _, rest = text.partition(f"{begin}\n")
    after = rest.partition(end)[2]
    return f"{before}{begin}\n{content}{end}{after}"


def _pyproject(text: str, address: Address) -> str:
    url, blob = address.repository, f"{address.repository}/blob/{address.branch}"
    links = {"Homepage": address.site, "Documentation": address.site and f"{address.site}api.html"}
    if url:
        links["Repository"] = url
        links["Issues"] = f"{url}/issues"
        links["Changelog"] = f"{blob}/CHANGELOG.md"
    lines = "".join(f'{name} = "{link}"\n' for name, link in links.items() if link)
    text = _block(text, "address: links", lines, ("# ", ""))
    # On a page of the package index a link into the repository leads nowhere: it becomes a
    # whole one, or plain words while there is no address.
    picture = rf"![\1]({url}/raw/{address.branch}/\2)" if url else ""
    link = rf"[\1]({blob}/\2)" if url else r"\1"
    rules = "".join(
        "[[tool.hatch.metadata.hooks.fancy-pypi-readme.substitutions]]\n"
        f"pattern = '{pattern}'\nreplacement = '{replacement}'\n"
        for pattern, replacement in {
            r"!\[([^\]]*)\]\((?!https?://)([^)]+)\)": picture,
            r"(?<!!)\[([^\]]*)\]\((?!https?://|#)([^)]+)\)": link,
        }.items()
    )
    return _block(text, "address: readme", rules, ("# ", ""))


def _readme(text: str, address: Address) -> str:
    url, launches = address.repository, address.launches(FIRST)
    badges = []
    if address.on_github:
        tests = f"{url}/actions/workflows/test.yml"
        badges.append(f"[![tests]({tests}/badge.svg)]({tests})")
        colab = "https://colab.research.google.com/assets/colab-badge.svg"
        badges.append(f"[![Open in Colab]({colab})]({launches['Colab']})")
    if url:
        binder = "https://mybinder.org/badge_logo.svg"
        badges.append(f"[![Open in Binder]({binder})]({launches['Binder']})")
    if address.site:
        badges.append(f"[Read the course online]({address.site})")
    text = _block(text, "address: badges", "".join(f"{badge}\n" for badge in badges))
    return _block(text, "address: install", _install(address))


def _install(address: Address) -> str:
    """How to get what the chapters import."""
    if not address.repository:
        return 'In a clone of the repository:\n\n```sh\npython -m pip install ".[course]"\n```\n'
    source = f"training-routine[course] @ git+{address.repository}@{address.branch}"
    command = f'```sh\npython -m pip install "{source}"\n```\n'
    if not address.on_github:
        return command
    return f"{command}\n{COLAB}\n"


def _index(text: str, address: Address) -> str:
    return _block(text, "address: install", _install(address))


def _citation(text: str, address: Address) -> str:
    links = {"repository-code": address.repository, "url": address.site}
    lines = "".join(f'{name}: "{link}"\n' for name, link in links.items() if link)
    return _block(text, "address: links", lines, ("# ", ""))


def _notebook(text: str, address: Address) -> str:
    notebook = json.loads(text)
    cells = [c for c in notebook["cells"] if SETUP in c["metadata"].get("tags", [])]
    if len(cells) != 1:
        raise ValueError(f"{len(cells)} cells of a notebook are tagged {SETUP!r}; it needs one")
    cells[0]["source"] = setup_cell(address).splitlines(keepends=True)
    return json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True) + "\n"


def _plain(url: str) -> str:
    """As one writes it: scheme and host in small letters, and no slash behind."""
    return re.sub(r"\A\w+://[^/]+", lambda match: match[0].lower(), url).rstrip("/")


def main(arguments: list[str] | None = None, root: Path = ROOT) -> None:
    """Set what is given, and say what is set."""
    parser = argparse.ArgumentParser(description="Say where the repository of the course is.")
    parser.add_argument("--url", default="", help="https://HOST/OWNER/NAME, or none")
    parser.add_argument("--branch", default="", help="where links and launch buttons point into")
    parser.add_argument("--site", default="", help="where the book is published, or none")
    options = parser.parse_args(arguments)

    now = read(root)
    gone = options.url == "none"
    url, site = (_plain(value) for value in (options.url, options.site))
    if site.startswith("http://"):  # so GitHub reports a site until it enforces https
        site = site.replace("http://", "https://", 1)
        print(f"site:       {options.site} is taken as {site}")
    try:
        address = Address(
            repository={"": now.repository, "none": ""}.get(url, url),
            branch=options.branch or ("main" if gone else now.branch),
            site={"": "" if gone else now.site, "none": ""}.get(site, f"{site}/"),
        )
    except ValueError as error:
        sys.exit(f"make address: {error}")
    changed = []
    for path, text in written(address, root).items():
        if text != path.read_text(encoding="utf-8"):
            path.write_text(text, encoding="utf-8", newline="\n")
            changed.append(str(path.relative_to(root)))
    print(
        f"repository: {address.repository or 'not set; make address URL=https://HOST/OWNER/NAME'}"
    )
    print(f"branch:     {address.branch}")
    print(f"site:       {address.site or 'not set; make address SITE=https://...'}")
    print(f"written:    {', '.join(changed) or 'nothing, all agree'}")


if __name__ == "__main__":
    main()
