"""The search finds what a learner types."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

from playwright.sync_api import Browser

from tests.pages.browser import visit
from tools.serving import serve

FOUND = {
    "zero_grad": "glossary.html#zero-grad",
    "momentum buffer": "glossary.html#momentum-buffer",
    "why None": "glossary.html#none-why-none",
    "why is grad None": "03_computing_gradients.html",
    "retain_graph": "glossary.html#retain-graph",
    "gradient clipping": "glossary.html#gradient-clipping",
    "learning rate": "glossary.html#learning-rate",
    "in place": "04_updating_parameters.html#in-place",
    "forgot zero_grad": "glossary.html",
    "nesterov": "glossary.html#nesterov-momentum",
    "eval mode": "glossary.html#eval-mode-and-train-mode",
    "gradient accumulation": "glossary.html#accumulate-gradient-accumulation",
    "loss not decreasing": "symptoms.html#the-loss-does-not-decrease-is-not-going-down",
    "loss not going down": "symptoms.html#the-loss-does-not-decrease-is-not-going-down",
    "loss nan": "symptoms.html#the-loss-is-nan-or-infinite",
    "backward twice": "03_computing_gradients.html",
    "gradient_sums": "api.html#companion.gradient_sums",
    "diagnose": "api.html#companion.Trace.diagnose",
    "command": "api.html#the-command",
}


def test_search_finds_what_a_learner_types(browser: Browser, book: Path) -> None:
    top = {}
    with serve(book, gzipped=False) as address, visit(browser, f"{address}search.html") as reader:
        for words in FOUND:
            reader.page.goto(f"{address}search.html?q={quote(words)}")
            first_one = reader.page.locator("#search-results ul.search > li > a").first
            top[words] = (first_one.get_attribute("href") or "").rpartition("/")[2]
    assert top == FOUND
