// Says the two numbers of the entry that the sliders, or a pointer in a grid, choose.
(() => {
  const operate = (root) => {
    const columns = Number(root.dataset.columns);
    const numbers = JSON.parse(root.dataset.numbers).map((text) => text.split(" "));
    const inputs = [...root.querySelectorAll("input")];
    const draw = () => {
      const [row, column] = inputs.map((input) => Number(input.value));
      root.querySelectorAll("[data-name]").forEach((line, i) => {
        const number = numbers[i][row * columns + column];
        const text = numbers[i][0] === "None" ? `${line.dataset.name} = None`
          : `${line.dataset.name}[${row}, ${column}] = ${number}`;
        if (line.textContent !== text) line.textContent = text; // one that stays is not said again
      });
      for (const mark of root.querySelectorAll(".ro-mark")) {
        mark.setAttribute("x", column);
        mark.setAttribute("y", row);
      }
      for (const input of inputs) input.nextElementSibling.textContent = input.value;
    };
    const point = (event) => {
      if (event.type === "pointermove" && !event.buttons) return;
      const box = event.currentTarget.getBoundingClientRect();
      const across = (event.clientX - box.left) / box.width;
      const down = (event.clientY - box.top) / box.height;
      inputs[0].value = Math.floor(down * (Number(inputs[0].max) + 1)); // an input keeps its range
      inputs[1].value = Math.floor(across * columns);
      draw();
    };
    for (const grid of root.querySelectorAll(".ro-grid")) {
      grid.onpointerdown = point;
      grid.onpointermove = point;
    }
    for (const input of inputs) {
      input.oninput = draw;
      input.setAttribute("data-lm-suppress-shortcuts", "true"); // Jupyter's own keys
    }
    root.onkeydown = (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    };
    root.querySelector(".ro-sliders").hidden = false;
    root.classList.add("ro-live");
    draw();
  };

  for (const root of document.querySelectorAll(".routine-weight")) {
    if (root.routineWeight) continue; // no attribute: a saved page would keep it
    root.routineWeight = true;
    operate(root);
  }
})();
