// Computes the paths of the fragment it stands in anew, whenever a slider moves.
(() => {
  const STEEP = [1, 20]; // along a, along b
  const BOTTOM = [2, 1];
  const START = [-3, 2];

  // One step for one number, as torch does it in double precision.
  const RULES = {
    SGD: (gradient, state, { lr, momentum = 0 }) => {
      state.buffer = state.t ? momentum * state.buffer + gradient : gradient;
      state.t = 1;
      return lr * state.buffer;
    },
    Adam: (gradient, state, { lr }) => {
      state.t = (state.t ?? 0) + 1;
      state.m = 0.9 * (state.m ?? 0) + 0.1 * gradient;
      state.v = 0.999 * (state.v ?? 0) + 0.001 * gradient * gradient;
      const size = Math.sqrt(state.v) / Math.sqrt(1 - 0.999 ** state.t) + 1e-8;
      return ((lr / (1 - 0.9 ** state.t)) * state.m) / size;
    },
  };

  // Every place from the start on: steps + 1 pairs.
  const path = (name, options, steps) => {
    const points = [START];
    const states = [{}, {}];
    for (let step = 0; step < steps; step += 1) {
      points.push(points[step].map((value, i) =>
        value - RULES[name](STEEP[i] * (value - BOTTOM[i]), states[i], options)));
    }
    return points;
  };

  const away = ([a, b]) => Math.hypot(a - BOTTOM[0], b - BOTTOM[1]);
  const number = (value) => (value < 1000 ? value.toFixed(2) : value.toExponential(1));
  const clamp = (value) => Math.min(9999, Math.max(-9999, value)).toFixed(1);

  const operate = (root) => {
    const words = JSON.parse(root.dataset.words);
    const steps = Number(root.dataset.steps);
    const inputs = [...root.querySelectorAll("input")];
    const draw = () => {
      root.querySelectorAll("[data-name]").forEach((line, i) => {
        const name = line.dataset.name;
        const own = inputs.filter((input) => input.dataset.of === name);
        const options = Object.fromEntries(own.map((one) => [one.name, Number(one.value)]));
        const points = path(name, options, steps);
        const spots = points.map(([a, b]) => `${clamp(60 * (a + 3.5))} ${clamp(60 * (2.6 - b))}`);
        root.querySelector(`.ro-picture .ro-${i}.ro-line`).setAttribute("d", `M${spots.join("L")}`);
        root.querySelector(`.ro-picture .ro-${i}.ro-dots`)
          .setAttribute("d", spots.map((spot) => `M${spot}h0`).join(""));
        const end = away(points[steps]);
        const said = end > away(START) ? words.away : words.near;
        const text = said.replace("{name}", name).replace("{steps}", steps)
          .replace("{distance}", number(end));
        if (line.textContent !== text) line.textContent = text; // one that stays is not said again
      });
      for (const input of inputs) input.nextElementSibling.textContent = input.value;
    };
    for (const input of inputs) {
      input.oninput = draw;
      input.setAttribute("data-lm-suppress-shortcuts", "true"); // Jupyter's own keys
    }
    root.onkeydown = (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    };
    root.querySelector(".ro-sliders").hidden = false;
    draw();
  };

  for (const root of document.querySelectorAll(".routine-valley")) {
    if (root.routineValley) continue; // no attribute: a saved page would keep it
    root.routineValley = path;
    operate(root);
  }
})();
