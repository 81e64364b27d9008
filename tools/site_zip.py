"""The built site as a zip that opens from disk: `make zip`.

Everything lies in one folder. Names are sorted and dates are fixed, so that the same site gives the
same bytes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from os.path import relpath
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

ROOT = Path(__file__).parents[1]
SITE = ROOT / "_build/html"
FOLDER = "the-pytorch-training-routine"
OUTPUT = ROOT / f"dist/{FOLDER}-site.zip"

# For Sphinx, for other projects' links, for web servers: nobody opens them from a disk.
LEFT_OUT = {".buildinfo", "objects.inv", "sitemap.xml", "robots.txt", "404.html"}
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the first day that a zip knows


def files(site: Path) -> Iterator[Path]:
    """What goes into the zip, in order."""
    paths = (path.relative_to(site) for path in site.rglob("*") if path.is_file())
    yield from sorted((path for path in paths if str(path) not in LEFT_OUT), key=Path.as_posix)


def pack(site: Path, output: Path) -> None:
    """Write the zip."""
    if not (site / "index.html").is_file():
        raise SystemExit(f"no index.html in {site}: make book")
    output.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(output, "w") as archive:
        for path in files(site):
            entry = ZipInfo(f"{FOLDER}/{path.as_posix()}", LONG_AGO)
            entry.compress_type = ZIP_DEFLATED
            entry.create_system = 3  # Unix, also where it was packed elsewhere
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, (site / path).read_bytes())


def main() -> None:
    """Pack the built site."""
    parser = argparse.ArgumentParser(description="The built site as one zip.")
    parser.add_argument("--site", type=Path, default=SITE, help="the folder of the built pages")
    parser.add_argument("--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    pack(options.site, options.output)
    print(f"{relpath(options.output)}: {options.output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
