// What a page adds to itself where scripts run. Nothing here is needed to read it.
"use strict";

// A box that scrolls sideways can be reached by keyboard; one that does not is no stop on the way.
const boxes = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    if (target.scrollWidth > target.clientWidth) {
      target.tabIndex = 0;
      target.setAttribute("role", "group");
      target.setAttribute("aria-label", "Wide content, scrolls sideways");
    } else {
      for (const name of ["tabindex", "role", "aria-label"]) target.removeAttribute(name);
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
  for (const box of document.querySelectorAll(wide)) boxes.observe(box);
});

// A search result's excerpt is fetched from its page, which a browser refuses for local files.
if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;
