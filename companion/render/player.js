// Reads the table of the fragment it stands in and builds the player above it.
// From simple to complex: make (an element), read (table → frames), play (one player).
(() => {
  const WORDS = {
    back: "Back", next: "Next", play: "Play", pause: "Pause", again: "Start again",
    slider: "Line", code: "The lines", state: "What each layer holds", step: "step",
    ask: "What will the marked line change?",
    guesses: ["nothing", "gradients", "parameters", "both"],
    right: "Right: it changes ", wrong: "No: it changes ", score: "Guessed right: ",
  };
  const PACE = 1500; // milliseconds a line

  const make = (tag, properties = {}, ...children) => {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties)) {
      if (name in element) element[name] = value;
      else element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  };

  // One frame for what was there on entering and one for each line: what every layer holds then.
  const read = (table) => {
    const frames = [];
    let held = new Map();
    let skipped = "";
    for (const body of table.tBodies) {
      if ("gap" in body.dataset) {
        skipped = body.textContent.trim();
        continue;
      }
      const changed = new Map();
      const [head, ...rows] = body.rows;
      for (const row of rows) if (!row.className) changed.set(row.cells[0].textContent, row);
      held = new Map([...held, ...changed]);
      frames.push({
        ...body.dataset, skipped, held, changed,
        line: head.cells.length > 1 ? head.cells[0].textContent : "",
        source: head.cells[head.cells.length - 1].textContent,
        note: body.querySelector(".rp-note")?.textContent ?? "",
        findings: [...body.querySelectorAll(".rp-finding td")],
      });
      skipped = "";
    }
    return frames;
  };

  // Which of WORDS.guesses is right: 1 for gradients, 2 for parameters, 3 for both.
  const answer = (frame) => {
    const touched = (from) =>
      [...frame.changed.values()].some((row) => row.cells[from].querySelector("b"));
    return (touched(1) ? 1 : 0) + (touched(3) ? 2 : 0);
  };

  const play = (root) => {
    const table = root.querySelector("table");
    const frames = read(table);
    const last = frames.length - 1;
    const steps = new Set(frames.slice(1).map((frame) => frame.step)).size;
    const predict = "predict" in root.dataset;
    const guessed = []; // by frame: whether the guess was right
    let at = predict ? 0 : Math.max(0, frames.findIndex((frame) => frame.findings.length));
    let timer = 0;

    const back = make("button", { type: "button" }, WORDS.back);
    const next = make("button", { type: "button" }, WORDS.next);
    const run = make("button", { type: "button" }, WORDS.play);
    const slider = make("input", { type: "range", min: 0, max: last, "aria-label": WORDS.slider });
    const where = make("span");
    const bar = make("div", { className: "rp-bar" }, back, next);
    bar.append(...(predict ? [] : [run]), slider, where);
    const list = make("ol");
    const lines = make("div", { className: "rp-code", role: "group", "aria-label": WORDS.code }, list);
    const rows = make("tbody");
    const state = make(
      "div",
      { className: "rp-state", tabIndex: 0, role: "group", "aria-label": WORDS.state },
      make("table", {}, table.tHead.cloneNode(true), rows),
    );
    const say = make("div", { className: "rp-say", "aria-live": "polite" });
    const ask = make("div", { className: "rp-bar", role: "group", "aria-label": WORDS.ask });
    ask.hidden = true;
    const app = make(
      "div",
      { className: "rp-app", "data-lm-suppress-shortcuts": "true" },
      lines, state, bar, ask, say,
    );

    // The lines as written: each once, function by function in the order they first ran.
    const buttons = new Map();
    const order = (place) => place.split(":").map(Number);
    const places = [...new Set(frames.slice(1).map((frame) => frame.place))].sort((a, b) => {
      const [x, y] = [order(a), order(b)];
      return x[0] - y[0] || x[1] - y[1];
    });
    let title = "";
    for (const place of places) {
      const there = frames.filter((frame) => frame.place === place);
      if (there[0].function && there[0].function !== title) {
        title = there[0].function;
        list.append(make("li", { className: "rp-title" }, title));
      }
      const button = make("button", { type: "button", "data-line": there[0].line }, there[0].source);
      for (const rule of new Set(there.flatMap((frame) => frame.findings)
        .map((cell) => cell.querySelector("strong").textContent))) {
        button.append(make("mark", {}, rule));
      }
      // The next run of that line, or its first one.
      button.onclick = () => {
        const runs = frames.flatMap((frame, i) => (frame.place === place ? [i] : []));
        go(runs.find((i) => i > at) ?? runs[0]);
      };
      buttons.set(place, button);
      list.append(make("li", {}, button));
    }

    const cell = (from, bold) => {
      const copy = from.cloneNode(true);
      if (!bold) copy.querySelector("b")?.replaceWith(...copy.querySelector("b").childNodes);
      return copy;
    };

    const show = () => {
      const frame = frames[at];
      const asking = predict && at < last && guessed[at + 1] === undefined;
      const marked = asking ? frames[at + 1] : frame;
      for (const [place, button] of buttons) {
        if (place === marked.place) button.setAttribute("aria-current", "step");
        else button.removeAttribute("aria-current");
      }
      rows.replaceChildren(...[...frame.held].map(([layer, row]) => make(
        "tr", {}, ...[...row.cells].map((one) => cell(one, frame.changed.get(layer) === row)),
      )));
      const words = frame.line ? `${frame.line}: ${frame.note}` : frame.source;
      say.replaceChildren(make("p", {}, frame.skipped ? `(${frame.skipped}) ${words}` : words));
      if (predict && guessed[at] !== undefined) {
        const verdict = guessed[at] ? WORDS.right : WORDS.wrong;
        say.prepend(make("p", {}, make("strong", {}, `${verdict}${WORDS.guesses[answer(frame)]}.`)));
      }
      for (const finding of frame.findings) {
        say.append(make("div", { className: "rp-finding" }, ...finding.cloneNode(true).childNodes));
      }
      if (predict && at === last && last > 0) {
        const right = guessed.filter(Boolean).length;
        say.append(make("p", {}, `${WORDS.score}${right} / ${last}`));
      }
      slider.value = at;
      slider.max = predict ? Math.max(1, guessed.length - 1) : last;
      slider.disabled = predict && guessed.length < 2;
      const step = steps > 1 && at ? `, ${WORDS.step} ${Number(frame.step) + 1}` : "";
      where.textContent = `${at} / ${last}${step}`;
      slider.setAttribute("aria-valuetext", `${where.textContent}: ${frame.source.trim()}`);
      back.disabled = at === 0;
      next.disabled = at === last || asking;
      ask.hidden = !asking;
      run.textContent = timer ? WORDS.pause : at === last ? WORDS.again : WORDS.play;
    };

    // The listing scrolls in its own box until the marked line is seen; the page stays.
    const follow = () => {
      const current = list.querySelector("[aria-current]");
      if (!current) return;
      const [top, height] = [current.offsetTop - lines.offsetTop, current.offsetHeight];
      if (top < lines.scrollTop) lines.scrollTop = top;
      else if (top + height > lines.scrollTop + lines.clientHeight) {
        lines.scrollTop = top + height - lines.clientHeight;
      }
    };

    const stop = () => {
      clearInterval(timer);
      timer = 0;
      say.setAttribute("aria-live", "polite");
    };
    const move = (to) => {
      const limit = predict ? Math.max(0, guessed.length - 1) : last;
      at = Math.min(Math.max(to, 0), limit);
      show();
      follow();
    };
    const go = (to) => {
      stop();
      move(to);
    };

    back.onclick = () => go(at - 1);
    next.onclick = () => go(at + 1);
    slider.oninput = () => go(Number(slider.value));
    run.onclick = () => {
      if (timer) {
        go(at);
        return;
      }
      if (at === last) at = -1;
      say.setAttribute("aria-live", "off");
      timer = setInterval(() => {
        if (at >= last - 1 || !root.isConnected) stop();
        move(at + 1);
      }, PACE);
      move(at + 1);
    };
    ask.append(make("span", {}, WORDS.ask), ...WORDS.guesses.map((guess, i) => {
      const button = make("button", { type: "button" }, guess);
      button.onclick = () => {
        guessed[0] ??= null;
        guessed[at + 1] = answer(frames[at + 1]) === i;
        go(at + 1);
        if (!next.disabled) next.focus();
        else if (!ask.hidden) ask.querySelector("button").focus();
      };
      return button;
    }));
    app.onkeydown = (event) => {
      const to = {
        ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: last,
      }[event.key];
      const chord = event.altKey || event.ctrlKey || event.metaKey || event.shiftKey;
      if (to === undefined || chord || event.target === state) return;
      event.preventDefault();
      go(to);
    };

    const details = root.querySelector("details");
    details.open = false;
    root.insertBefore(app, details);
    show();
    requestAnimationFrame(follow); // not now: a page of many players would be laid out for each
  };

  for (const root of document.querySelectorAll(".routine-player:not([data-ready])")) {
    root.dataset.ready = "";
    play(root);
  }
})();
