/* Scales, a shift and a temperature: what each does to the decision and the confidence. */
(function () {
  "use strict";
  const { softmax, svg, plane } = window.explore;
  const SPAN = 4;
  const square = () =>
    plane([-SPAN, SPAN], [-SPAN, SPAN], "logit of A", "logit of B", 244);

  function compute(data, { a, b, scaleA, scaleB, shift, temperature }) {
    const maps = {
      "As trained": [a, b],
      "Scales (LLS)": [scaleA * a, scaleB * b],
      "Shift": [a + shift, b],
      "Temperature": [a / temperature, b / temperature],
    };
    return Object.entries(maps).map(([title, z]) => ({ title, a: softmax(z)[0] }));
  }

  /** Where the two classes are equally likely, as the ends of a line through the square. */
  function border(title, { scaleA, scaleB, shift }) {
    if (title === "Scales (LLS)") {
      const far = Math.min(SPAN / scaleB, SPAN / scaleA);
      return [[-far * scaleB, -far * scaleA], [far * scaleB, far * scaleA]];
    }
    const by = title === "Shift" ? shift : 0;
    const low = Math.max(-SPAN, -SPAN - by), high = Math.min(SPAN, SPAN - by);
    return [[low, low + by], [high, high + by]];
  }

  function bars(rows) {
    return rows.flatMap(({ title, a }, i) => {
      const y = 262 + 25 * i, left = 124, wide = 184;
      return [svg("text", { x: left - 8, y: y + 13, "text-anchor": "end" }, title),
              svg("rect", { class: "whole", x: left, y, width: wide, height: 17 }),
              svg("rect", { class: `bar m${i}`, x: left, y, width: wide * a, height: 17 }),
              svg("line", { class: "frame", x1: left + wide / 2, x2: left + wide / 2,
                            y1: y - 3, y2: y + 20 }),
              svg("text", { x: left + wide + 8, y: y + 13 }, a.toFixed(3))];
    });
  }

  function draw(rows, values) {
    const { x, y, parts } = square();
    const lines = ["As trained", "Scales (LLS)", "Shift"].map((title, i) => {
      const [[x1, y1], [x2, y2]] = border(title, values);
      return svg("line", { class: `border m${i}`, x1: x(x1), y1: y(y1), x2: x(x2), y2: y(y2) });
    });
    const notes = ["as trained, temperature", "scales (LLS)", "shift"].flatMap((text, i) => [
      svg("line", { class: `border m${i}`, x1: 246, x2: 266, y1: 52 + 36 * i, y2: 52 + 36 * i }),
      ...text.split(", ").map((line, k) => svg("text", { x: 271, y: 56 + 36 * i + 14 * k }, line)),
    ]);
    return [...parts, svg("text", { x: 246, y: 30 }, "boundary"), ...lines, ...notes,
            svg("circle", { class: "truth", cx: x(values.a), cy: y(values.b), r: 7 }),
            ...bars(rows)];
  }

  function say([trained, ...others]) {
    const name = ({ a }) =>
      Math.abs(a - 0.5) < 1e-9 ? "neither class" : a > 0.5 ? "A" : "B";
    const sure = ({ a }) => Math.max(a, 1 - a).toFixed(3);
    const parts = ["the scales", "the shift", "the temperature"].map((title, i) => {
      const s = i ? "s" : "", kept = name(others[i]) === name(trained);
      const does = kept ? `keep${s}` : `change${s} it to`;
      return `${title} ${does} ${name(others[i])} (${sure(others[i])})`;
    });
    return `As trained, the decision is ${name(trained)} with confidence ${sure(trained)}: ` +
      `${parts[0]}, ${parts[1]}, and ${parts[2]}.`;
  }

  function drag(px, py) {
    const { x, y } = square();
    const value = (at, scale) =>
      Math.min(SPAN, Math.max(-SPAN, (at - scale(0)) / (scale(1) - scale(0)))).toFixed(1);
    return { a: value(px, x), b: value(py, y) };
  }

  const report = (rows) => rows.map(({ a }) => a);
  window.explore.define("scaling", { compute, draw, say, drag, report });
})();
