// What a page adds to itself where scripts run. Nothing here is needed to read it.
"use strict";

// A box that scrolls sideways can be reached by keyboard, and shows at which side there is more;
// one that does not is no stop on the way.
// All are measured before any is marked: a mark makes the browser lay out the page anew.
const beyond = ({ scrollLeft, scrollWidth, clientWidth }) => [
  ...(scrollLeft > 1 ? ["left"] : []),
  ...(scrollLeft + clientWidth < scrollWidth - 1 ? ["right"] : []),
].join(" ");

const boxes = new ResizeObserver((entries) => {
  const measured = entries.map(({ target }) => [
    target, target.scrollWidth > target.clientWidth, beyond(target),
  ]);
  for (const [box, wide, more] of measured) {
    if (more) box.dataset.more = more;
    else delete box.dataset.more;
    if (wide) {
      box.tabIndex = 0;
      box.setAttribute("role", "group");
      box.setAttribute("aria-label", "Wide content, scrolls sideways");
    } else if (box.hasAttribute("tabindex")) {
      for (const name of ["tabindex", "role", "aria-label"]) box.removeAttribute(name);
    }
  }
});

// Paper cannot be unfolded.
const folded = [];

window.addEventListener("beforeprint", () => {
  folded.push(...document.querySelectorAll("details:not([open])"));
  for (const element of folded) element.open = true;
});

window.addEventListener("afterprint", () => {
  for (const element of folded.splice(0)) element.open = false;
});

window.addEventListener("DOMContentLoaded", () => {
  const wide = "article pre, article .table-wrapper, article .math-wrapper, article .course-figure";
  for (const box of document.querySelectorAll(wide)) {
    boxes.observe(box);
    box.addEventListener("scroll", () => { box.dataset.more = beyond(box); }, { passive: true });
  }
});

// A search result's excerpt is fetched from its page, which a browser refuses for local files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
