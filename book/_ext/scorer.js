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
    (anchor && description === null ? score + 8 : score) + isEarly(page) - isLast(page),
};

// The rules have short names of their own, such as "eval-mode": who asks for the word comes first.
const isLast = (page) => (page === "rules" ? 20 : 0);

// What weighs the same is sorted by its title, letter by letter: "10. Steps" before "2. Network".
// Earlier chapters come first, by less than any other weight.
const isEarly = (page) => (100 - (parseInt(page, 10) || 100)) / 1000;

// Sphinx takes a heading for an answer where the query is half of it, letter by letter. Here it is
// one also where every word of the query begins a word of it: "nesterov" finds "Nesterov momentum".
// What begins more of its words comes first.
{
  const stems = (words) => words.map((word) => new Stemmer().stemWord(word.toLowerCase()));
  const search = Search._performSearch;
  Search._performSearch = (query, terms, ...rest) => {
    const results = search(query, terms, ...rest);
    if (!terms.size) return results;
    const { alltitles, docnames, filenames, titles } = Search._index;
    for (const [title, places] of Object.entries(alltitles)) {
      const words = stems(title.match(/[\w.]+/g) ?? []);
      const begun = (term) => words.some((word) => word.startsWith(term));
      if (![...terms].every(begun)) continue;
      for (const [file, id] of places) {
        const anchor = id === null ? "" : `#${id}`;
        if (results.some((one) => one[0] === docnames[file] && one[2] === anchor)) continue;
        const name = id === null ? title : `${titles[file]} > ${title}`;
        const most = Scorer.title - 1 + (8 * terms.size) / words.length; // a method is at 16
        const score = most - isLast(docnames[file]);
        const place = results.findIndex((one) => one[4] > score); // the best are at the end
        results.splice(place < 0 ? results.length : place, 0,
          [docnames[file], name, anchor, null, score, filenames[file]]);
      }
    }
    return results;
  };
}

Documentation.TRANSLATIONS["Your search did not match any documents. Please make sure that all"
  + " words are spelled correctly and that you've selected enough categories."] =
  "No page has all of these words. Try fewer of them, or look into the glossary.";
