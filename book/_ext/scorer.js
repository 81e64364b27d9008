// How search weighs what it finds: Sphinx's own numbers (basic/static/searchtools.js), except that
// a section whose heading is asked for comes before the page on which it stands.
var Scorer = {
  objNameMatch: 11,
  objPartialMatch: 6,
  objPrio: { 0: 15, 1: 5, 2: -5 },
  objPrioDefault: 0,
  title: 15,
  partialTitle: 7,
  term: 5,
  partialTerm: 2,
  score: ([page, title, anchor, description, score]) =>
    anchor && description === null ? score + 8 : score,
};
