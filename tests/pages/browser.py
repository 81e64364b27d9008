"""A real browser, and what can be wrong with a page in it.

A check is a function `problems_...` of a page, or of a visit where it matters what happened while
the page was loaded. It returns one line for each problem and nothing for a page without any.
`test_the_checks.py` shows each of them a page that it must object to.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml
from playwright.sync_api import Browser, ConsoleMessage, Page, Request, expect

from tests import ROOT

WIDE = (1280, 900)
PHONE = (390, 844)
NARROW = (360, 740)

# How long to wait for what must come, in milliseconds: a machine may be busy with something else.
PATIENCE = 30_000
expect.set_options(timeout=PATIENCE)

MOVED: dict[str, list[str]] = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))[
    "sphinx"
]["config"]["course_moved"]

# What axe-core asks of sizes and colours; all else it reads in the HTML, at any size the same.
SEEN = ("color-contrast", "link-in-text-block", "scrollable-region-focusable")

# Pictures and what a player plays are content: they weigh what they weigh.
ASIDE = "svg, img[src^='data:'], .routine-player table"


class Visit:
    """A page in a context of its own, with all that it said and asked for since it was opened."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[Request] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        page.on("request", lambda request: self.requests.append(request))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.said.append(f"{message.type}: {message.text} ({message.location['url']})")


@contextmanager
def visit(
    browser: Browser, address: str, size: tuple[int, int] = WIDE, **options: Any
) -> Iterator[Visit]:
    """A new reader, with nothing in the cache, opens a page."""
    width, height = size
    with browser.new_context(viewport={"width": width, "height": height}, **options) as context:
        context.set_default_timeout(PATIENCE)
        visit = Visit(context.new_page())
        visit.page.goto(address)
        yield visit


def read_pages(pages: list[str]) -> list[str]:
    """Those that are read, and one of each kind where a template writes all but the words.

    Of the modules' sources that is the first, of the old addresses the one that leads to most.
    """
    sources = [page for page in pages if page.startswith("_modules/companion/")]
    moved = sorted(MOVED, key=lambda old: len(MOVED[old]))
    alike = {*sources[1:], *(f"{old}.html" for old in moved[:-1])}
    return [page for page in pages if page not in alike]


def tour(
    browser: Browser, start: str, names: list[str], size: tuple[int, int] = WIDE, **options: Any
) -> Iterator[tuple[str, Visit]]:
    """One reader opens page after page, with nothing of one in the cache for the next.

    A reader for each would take five times as long to come as the page to load. What a page stores
    stays, as it does for any reader.
    """
    with visit(browser, "about:blank", size, **options) as visited:
        page = visited.page
        cache = page.context.new_cdp_session(page)
        cache.send("Network.enable")
        cache.send("Network.setCacheDisabled", {"cacheDisabled": True})
        for name in names:
            page.set_viewport_size({"width": size[0], "height": size[1]})
            page.goto("about:blank")  # what the last page still says and asks for is its own
            visited.said.clear()
            visited.requests.clear()
            page.goto(start + name)
            yield name, visited


def problems_said(visit: Visit) -> list[str]:
    """Errors and warnings in the console, and what no script caught."""
    return visit.said


def problems_foreign(visit: Visit) -> list[str]:
    """Requests that leave the page's own host."""
    home = urlsplit(visit.page.url)
    asked = [request.url for request in visit.requests]
    return [
        f"asks another host: {url}"
        for url in asked
        if (parts := urlsplit(url)).scheme not in ("data", "blob")
        and (parts.scheme, parts.netloc) != (home.scheme, home.netloc)
    ]


def weight(visit: Visit) -> dict[str, int]:
    """Bytes that came, by address; of pictures and of what a player plays, none."""
    sizes = {}
    for request in visit.requests:
        response = request.response()
        if request.resource_type == "image" or response is None:
            continue
        came = request.sizes()
        sizes[request.url] = came["responseHeadersSize"] + came["responseBodySize"]
        if request.resource_type == "document":
            packed = response.headers.get("content-encoding") == "gzip"
            sizes[request.url] -= _pictures_inside(visit.page, packed)
    return sizes


def _pictures_inside(page: Page, packed: bool) -> int:
    """What the page's HTML would weigh less without its pictures."""
    whole, bare = page.evaluate(
        """selector => {
            const copy = document.documentElement.cloneNode(true);
            const whole = copy.outerHTML;
            copy.querySelectorAll(selector).forEach(element => element.remove());
            return [whole, copy.outerHTML];
        }""",
        ASIDE,
    )
    sizes = [len(gzip.compress(t.encode(), 6) if packed else t.encode()) for t in (whole, bare)]
    return sizes[0] - sizes[1]


def problems_weight(visit: Visit, kilobytes: int) -> list[str]:
    """More than a page may weigh, and what of it weighs most."""
    sizes = weight(visit)
    total = sum(sizes.values()) / 1000
    if total <= kilobytes:
        return []
    heaviest = sorted(sizes.items(), key=lambda item: -item[1])[:5]
    parts = ", ".join(f"{urlsplit(url).path} {n / 1000:.0f}" for url, n in heaviest)
    return [f"{total:.0f} KB, more than {kilobytes}: {parts}"]


def problems_shift(page: Page) -> list[str]:
    """What moves while the page is loaded and scrolled to its end, as Chromium scores it."""
    score = page.evaluate(
        """async () => {
            const frame = () => new Promise(requestAnimationFrame);
            for (let y = 0; y < document.documentElement.scrollHeight; y += 2 * innerHeight) {
                scrollTo({top: y, behavior: "instant"});
                await frame();
            }
            scrollTo({top: 0, behavior: "instant"});
            await frame();
            let score = 0;
            const add = entries => entries.forEach(entry => {
                score += entry.hadRecentInput ? 0 : entry.value;
            });
            const observer = new PerformanceObserver(list => add(list.getEntries()));
            observer.observe({type: "layout-shift", buffered: true});
            await new Promise(done => setTimeout(done, 50));
            add(observer.takeRecords());
            return score;
        }"""
    )
    return [f"layout shift {score:.3f}"] if score > 0.01 else []


def problems_axe(page: Page, rules: Sequence[str] = ()) -> list[str]:
    """What axe-core objects to: all rules, or these.

    Nearly all of its time would go into thousands of pieces of code in a few colours. Of texts
    that look the same, in parents of the same kind, the contrast of three is measured, and pieces
    of code that are not among them lose their <span>: the page is another one afterwards.
    """
    page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate(
        """async rules => {
            // What observes sizes has heard of a new one when a frame is over.
            for (const _ of "ab") await new Promise(requestAnimationFrame);
            const grounds = new Map();
            const ground = element => {
                if (!grounds.has(element)) {
                    const {backgroundColor, backgroundImage, opacity} = getComputedStyle(element);
                    const own = [backgroundColor, backgroundImage, opacity].join();
                    const clear = own === "rgba(0, 0, 0, 0),none,1" && element.parentElement;
                    grounds.set(element, clear ? ground(element.parentElement) : own);
                }
                return grounds.get(element);
            };
            const kinds = new Map();
            for (const element of document.body.querySelectorAll("*")) {
                const texts = [...element.childNodes].filter(node => node.nodeType === 3);
                if (!texts.some(text => text.data.trim().length > 1)) continue;
                const {color, fontSize, fontWeight} = getComputedStyle(element);
                const parent = element.parentElement;
                const kind = [element.localName, parent.localName, parent.className, color,
                    fontSize, fontWeight, ground(element), element.checkVisibility()].join();
                kinds.set(kind, (kinds.get(kind) ?? 0) + 1);
                if (kinds.get(kind) <= 3) element.dataset.look = "";
            }
            for (const piece of document.querySelectorAll("pre span:not([data-look])")) {
                const bare = [...piece.attributes].every(one => one.name === "class");
                if (bare && !piece.childElementCount) piece.replaceWith(...piece.childNodes);
            }
            axe.configure({rules: [{id: "color-contrast", selector: "[data-look]"}]});
            const options = {resultTypes: ["violations"], preload: false};
            if (rules.length) options.runOnly = {type: "rule", values: rules};
            const found = await axe.run(document, options);
            return found.violations;
        }""",
        list(rules),
    )
    return [
        f"{rule['id']}, {len(rule['nodes'])} times: {node['html'][:120]} {_why(node)}"
        for rule in found
        for node in rule["nodes"][:1]
    ]


def _why(node: dict[str, Any]) -> str:
    """The first reason that axe gives."""
    return next(
        (str(check["message"]) for kind in ("any", "all", "none") for check in node[kind]), ""
    )


def problems_sideways(page: Page) -> list[str]:
    """A page that scrolls sideways, and what sticks out of it or is cut at its edge.

    What lies in a scroller of its own may be wide, and a drawer may wait beyond the edge.
    """
    found: list[str] = page.evaluate(
        """() => {
            const edge = document.documentElement.clientWidth;
            const wide = document.documentElement.scrollWidth;
            const problems = wide > edge ? [`scrolls sideways, ${wide} px in ${edge}`] : [];
            const name = e => e.outerHTML.slice(0, e.outerHTML.indexOf(">") + 1).slice(0, 120);
            const out = box => box.width > 0 && box.height > 0
                && (box.left < edge && box.right > edge + 1 || box.right > 0 && box.left < -1);
            const scrolls = e => /auto|scroll/.test(getComputedStyle(e).overflowX);
            const look = element => {
                if (!element.checkVisibility({visibilityProperty: true})) return;
                if (out(element.getBoundingClientRect())) {
                    problems.push("sticks out: " + name(element));
                } else if (!scrolls(element) && element.localName !== "svg") {
                    for (const child of element.children) look(child);
                }
            };
            for (const child of document.body.children) look(child);
            return problems;
        }"""
    )
    return found


def problems_form(page: Page, shown: str) -> list[str]:
    """Printed traces come in a "wide" and a "narrow" form: only the one that fits is seen."""
    seen: dict[str, list[bool]] = page.evaluate(
        """() => Object.fromEntries(["wide", "narrow"].map(form => [form,
            [...document.querySelectorAll(`.where-${form} pre`)].map(pre => pre.offsetHeight > 0),
        ]))"""
    )
    counts = {form: len(those) for form, those in seen.items()}
    problems = [] if counts["wide"] == counts["narrow"] else [f"traces in each form: {counts}"]
    for form, those in seen.items():
        if wrong := sum(one != (form == shown) for one in those):
            which = "not seen" if form == shown else "seen"
            problems.append(f"traces in the {form} form that are {which}: {wrong}")
    return problems


def problems_cut(page: Page) -> list[str]:
    """What of a figure or an error is seen only when it is scrolled.

    Of a chart the point may be at its right edge, of an error the cure at the end.
    """
    found: list[str] = page.locator(".course-figure, .traceback pre").evaluate_all(
        """boxes => boxes.filter(box => box.scrollWidth > box.clientWidth).map(
            box => `${box.scrollWidth - box.clientWidth} px cut: ${box.outerHTML.slice(0, 80)}`)"""
    )
    return found


def problems_offline(page: Page) -> list[str]:
    """Of a page opened from a file: what is missing beside it."""
    seen = page.evaluate(
        """() => ({
            links: [...document.querySelectorAll("[href], [src]")]
                .map(element => element.href ?? element.src).filter(url => typeof url === "string"),
            images: [...document.images].filter(i => !(i.complete && i.naturalWidth))
                .map(image => image.src),
        })"""
    )
    missing = [
        url
        for url in seen["links"]
        if (parts := urlsplit(url)).scheme == "file" and not Path(unquote(parts.path)).is_file()
    ]
    return [
        *[f"leads nowhere: {url}" for url in missing],
        *[f"picture not shown: {url}" for url in seen["images"]],
    ]


def problems_without_scripts(page: Page) -> list[str]:
    """Of a page whose scripts do not run: what cannot be read, and buttons that do nothing.

    What a closed <details> holds is there for the asking.
    """
    found: list[str] = page.evaluate(
        """() => {
            const main = document.querySelector("main, [role=main]");
            if (!main) return ["no main text"];
            const shown = element => element.checkVisibility(
                {visibilityProperty: true, opacityProperty: true});
            const name = element => element.outerHTML.slice(0, 100).replace(/\\s+/g, " ");
            const read = "h1, h2, h3, h4, p, li, dt, dd, pre, table, img, summary, figure";
            const closed = "details:not([open]) > :not(summary), details:not([open]) > * *"
                + ", .where-wide *, .where-narrow *";  // test_folded_traces.py looks at these
            const text = [...main.querySelectorAll(read)].filter(
                element => element.localName === "summary" || !element.matches(closed));
            const dead = document.querySelectorAll("button, [role=button]:not(input)");
            return [
                ...(main.querySelector("h1") ? [] : ["no heading"]),
                ...text.filter(e => e.innerHTML.trim() || e.localName === "img")
                    .filter(e => !shown(e)).map(e => "hidden: " + name(e)),
                ...[...dead].filter(shown).map(e => "does nothing: " + name(e)),
            ];
        }"""
    )
    return found


def problems_focus(page: Page, stops: int) -> list[str]:
    """Walks with Tab: each stop must be on the screen, and look as if it had the focus."""
    problems = []
    page.evaluate(  # not as an element: a page's policy may forbid that
        """() => {
            const sheet = new CSSStyleSheet();
            sheet.replaceSync("* {scroll-behavior: auto !important; transition: none !important}");
            document.adoptedStyleSheets.push(sheet);
        }"""
    )
    for _ in range(stops):
        page.keyboard.press("Tab")
        problem = page.evaluate(
            """() => {
                const active = document.activeElement;
                if (!active || active === document.body) return null;
                // A hidden switch is seen by its label.
                const labels = [...(active.labels ?? [])];
                const element = labels.find(label => label.offsetWidth > 1) ?? active;
                const style = getComputedStyle(element);
                const box = element.getBoundingClientRect();
                const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0
                    || style.boxShadow !== "none";
                const seen = box.right > 0 && box.left < innerWidth
                    && box.bottom > 0 && box.top < innerHeight && box.width > 1
                    && element.checkVisibility({visibilityProperty: true, opacityProperty: true});
                const name = element.outerHTML.slice(0, 120);
                if (!seen) return "focus on what is not seen: " + name;
                return ring ? "" : "focus not seen on: " + name;
            }"""
        )
        if problem is None:
            break
        if problem:
            problems.append(problem)
    return problems
