"""Where the course is kept, and where it can be read.

Nothing but Python is imported: `make address` uses this module where nothing is installed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import quote

HOST = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::\d+)?"
PART = r"/(?!\.\.?(?:/|\Z))[\w.-]+"  # of a path; "." and ".." would lead elsewhere
GITHUB = rf"https://github\.com(?:{PART}){{2}}(?<!\.git)"
OTHER = rf"https://(?!github\.com[/:]){HOST}(?:{PART}){{2,}}(?<!\.git)"
SITE = rf"https://{HOST}(?:/(?!\.\.?/)[\w.~-]+)*/"
# As git has it: between slashes, words with single dots; none of them ends with .lock.
WORDS = r"[\w-]+(?:\.[\w-]+)*(?<!\.lock)"
BRANCH = rf"(?!-){WORDS}(?:/{WORDS})*"


@dataclass(frozen=True)
class Address:
    """Where the course is kept, and where it can be read.

    Attributes:
        repository: Address of the repository, `https://HOST/OWNER/NAME`; "" while there is none.
        branch: The branch that links and launch buttons point into.
        site: Address of the published book; "" while there is none.
    """

    repository: str = ""
    branch: str = "main"
    site: str = ""

    def __post_init__(self) -> None:
        if self.repository and not re.fullmatch(f"{GITHUB}|{OTHER}", self.repository, re.A):
            raise ValueError(
                f"not the address of a repository: {self.repository!r}; "
                "write it as https://HOST/OWNER/NAME, without .git, a user or a password"
            )
        if self.site and not re.fullmatch(SITE, self.site, re.A):
            raise ValueError(
                f"not the address of a site: {self.site!r}; write it as https://HOST/ or "
                "https://HOST/FOLDER/"
            )
        if not re.fullmatch(BRANCH, self.branch, re.A):
            raise ValueError(
                f"not the name of a branch: {self.branch!r}; git takes no space, no .., no slash "
                "at an end and no .lock"
            )

    @property
    def on_github(self) -> bool:
        """Whether what works only there, Colab among it, can be offered."""
        return self.repository.startswith("https://github.com/")

    @property
    def name(self) -> str:
        """OWNER/NAME, as it stands in the address."""
        return self.repository.removeprefix("https://").partition("/")[2]

    def launches(self, path: str) -> dict[str, str]:
        """Where a notebook of the repository can be run: {service: link}.

        >>> Address("https://github.com/owner/name").launches("book/a.ipynb")["Colab"]
        'https://colab.research.google.com/github/owner/name/blob/main/book/a.ipynb'
        >>> Address().launches("book/a.ipynb")
        {}
        """
        if not self.repository:
            return {}
        where = f"gh/{self.name}" if self.on_github else f"git/{quote(self.repository, safe='')}"
        binder = f"https://mybinder.org/v2/{where}/{quote(self.branch, safe='')}"
        links = {"Binder": f"{binder}?urlpath=lab%2Ftree%2F{quote(path, safe='')}"}
        if self.on_github:
            colab = f"https://colab.research.google.com/github/{self.name}/blob"
            links = {"Colab": f"{colab}/{self.branch}/{path}", **links}
        return links
