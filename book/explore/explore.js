/* The skeleton of the figures that recompute in the page: controls, picture, sentence.  A figure is
   defined by a script of its own, explore.define(name, {prepare, compute, draw, say, drag}).
   Classic scripts, because a page opened from a disk (file://) loads no ES modules.  Without them
   the reader sees the picture that Python drew. */
(function () {
  "use strict";
  const figures = {};

  // ---- numbers ---------------------------------------------------------------------------------

  /** Softmax of an array of logits. */
  function softmax(z) {
    const top = Math.max(...z), e = z.map((v) => Math.exp(v - top));
    const sum = e.reduce((a, b) => a + b);
    return e.map((v) => v / sum);
  }

  /** A number as the book writes it: thousands with a comma, below zero a true minus sign. */
  const written = (value, digits = 0) =>
    (value || 0).toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits })
      .replace("-", "−");

  /** Uniform numbers in [0, 1), the same at every visit (mulberry32). */
  function random(seed) {
    return function () {
      seed = (seed + 0x6d2b79f5) | 0;
      let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
      t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
      return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
    };
  }

  /** Linearly interpolated quantile, as NumPy's default. */
  function quantile(values, q) {
    const sorted = Float64Array.from(values).sort(), at = q * (sorted.length - 1);
    const below = Math.floor(at), above = Math.min(below + 1, sorted.length - 1);
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
  }

  const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

  // ---- pictures --------------------------------------------------------------------------------

  function svg(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    if (text !== undefined) made.textContent = text;
    return made;
  }

  /** Axes of a plane within a square picture; x and y turn values into places of the picture. */
  function plane([x0, x1], [y0, y1], xTitle, yTitle, size = 360) {
    const left = 60, down = 46, edge = 12;
    const x = (v) => left + ((v - x0) / (x1 - x0)) * (size - left - edge);
    const y = (v) => size - down - ((v - y0) / (y1 - y0)) * (size - down - edge);
    const tick = (v) => String(+v.toFixed(2)).replace("-", "−");
    const parts = [svg("rect", { class: "frame", x: x(x0), y: y(y1),
                                 width: x(x1) - x(x0), height: y(y0) - y(y1) })];
    for (let i = 0; i <= 4; i++) {
      const u = x0 + (i / 4) * (x1 - x0), v = y0 + (i / 4) * (y1 - y0);
      parts.push(svg("text", { x: x(u), y: size - down + 20, "text-anchor": "middle" }, tick(u)),
                 svg("text", { x: left - 10, y: y(v) + 4, "text-anchor": "end" }, tick(v)));
    }
    const middle = (y(y0) + y(y1)) / 2;
    parts.push(svg("text", { x: (x(x0) + x(x1)) / 2, y: size - 6, "text-anchor": "middle" },
                   xTitle),
               svg("text", { x: 12, y: middle, "text-anchor": "middle",
                             transform: `rotate(-90 12 ${middle})` }, yTitle));
    return { x, y, parts };
  }

  // ---- controls --------------------------------------------------------------------------------

  function control(id, name, c) {
    const row = Object.assign(document.createElement("div"), { className: "control" });
    const label = Object.assign(document.createElement("label"), { htmlFor: id });
    label.textContent = c.label;
    const input = document.createElement(c.options ? "select" : "input");
    row.append(label, input);
    if (c.options) {
      for (const option of c.options) input.add(new Option(option, option));
      input.value = c.value;
    } else if (typeof c.value === "boolean") {
      Object.assign(input, { type: "checkbox", checked: c.value });
    } else {
      Object.assign(input, { type: "range", min: c.min, max: c.max, step: c.step, value: c.value });
      const shown = Object.assign(document.createElement("output"), { htmlFor: id });
      shown.setAttribute("aria-live", "off");  // a slider says its value by itself
      row.append(shown);
    }
    Object.assign(input, { id, name });
    return row;
  }

  const valueOf = (i) =>
    i.type === "checkbox" ? i.checked : i.type === "range" ? Number(i.value) : i.value;

  function enhance(figure, index) {
    const kind = figures[figure.dataset.figure];
    const given = JSON.parse(figure.querySelector("script[type='application/json']").textContent);
    const data = kind.prepare ? kind.prepare(given) : given;
    const controls = Object.assign(document.createElement("div"), { className: "controls" });
    for (const [name, c] of Object.entries(given.controls)) {
      controls.append(control(`explore-${index}-${name}`, name, c));
    }
    const inputs = [...controls.querySelectorAll("input, select")];
    const picture = svg("svg", { viewBox: kind.box || "0 0 360 360", role: "img",
                                 class: "picture" });
    const said = Object.assign(document.createElement("p"), { className: "said" });
    said.setAttribute("role", "status");

    function show() {
      const values = Object.fromEntries(inputs.map((i) => [i.name, valueOf(i)]));
      for (const i of inputs) {
        if (i.type !== "range") continue;
        i.nextElementSibling.textContent =
          written(Number(i.value), (i.step.split(".")[1] || "").length);
      }
      const result = kind.compute(data, values);
      picture.replaceChildren(...kind.draw(result, values, data));
      said.textContent = kind.say(result, values, data);
      picture.setAttribute("aria-label", said.textContent);
      figure.dataset.result = JSON.stringify(kind.report(result));
    }

    function move(event) {
      if (!(event.buttons & 1) || event.pointerType === "touch") return;  // a finger scrolls the page
      event.preventDefault();
      const point = new DOMPoint(event.clientX, event.clientY)
        .matrixTransform(picture.getScreenCTM().inverse());
      for (const [name, value] of Object.entries(kind.drag(point.x, point.y))) {
        inputs.find((i) => i.name === name).value = value;
      }
      show();
    }
    if (kind.drag) {
      picture.classList.add("draggable");
      picture.addEventListener("pointerdown", (event) => {
        picture.setPointerCapture(event.pointerId);
        move(event);
      });
      picture.addEventListener("pointermove", move);
    }
    controls.addEventListener("input", show);
    const still = figure.querySelector(".still");
    show();  // if this fails, the still picture stays
    still.before(picture);
    figure.classList.add("live");
    picture.after(controls, said);
  }

  window.explore = { softmax, random, quantile, bytes, svg, plane, written,
                     define: (name, kind) => { figures[name] = kind; } };
  document.addEventListener("DOMContentLoaded",
    () => document.querySelectorAll("figure.explore").forEach(enhance));
})();
