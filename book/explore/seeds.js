/* How often the better of two methods looks worse, by test set and by seed. */
(function () {
  "use strict";
  const { random, svg, plane, written } = window.explore;
  const DRAWS = 20000, BARS = 60, SPAN = 6;

  /** Differences in accuracy, better minus worse, of repeated studies; in percentage points. */
  function compute(data, { gap, images, spread, seeds, disagree }) {
    const share = disagree / 100, uniform = random(7);
    const noise = (share - (gap / 100) ** 2) / images + (2 * (spread / 100) ** 2) / seeds;
    const sd = 100 * Math.sqrt(Math.max(0, noise)), found = new Float64Array(DRAWS);
    for (let i = 0; i < DRAWS; i += 2) {  // Box and Muller's normal numbers, each with its mirror
      const far = sd * Math.sqrt(-2 * Math.log(1 - uniform()));
      const off = far * Math.cos(2 * Math.PI * uniform());
      found.set([gap + off, gap - off], i);
    }
    const wrong = found.reduce((sum, d) => sum + (d < 0), 0) / DRAWS;
    return { found, sd, wrong };
  }

  function draw({ found }) {
    const count = new Float64Array(BARS);
    for (const d of found) {
      const b = Math.floor(((d + SPAN) / (2 * SPAN)) * BARS);
      if (b >= 0 && b < BARS) count[b]++;
    }
    const top = 4 * Math.ceil((25 * Math.max(...count)) / found.length);  // whole percents as ticks
    const { x, y, parts } = plane([-SPAN, SPAN], [0, top],
      "better minus worse, percentage points", "studies (%)");
    count.forEach((n, b) => {
      const low = -SPAN + (2 * SPAN * b) / BARS, at = y((100 * n) / found.length);
      parts.push(svg("rect", { class: low < 0 ? "worse" : "in", x: x(low), y: at,
                               width: x(low + (2 * SPAN) / BARS) - x(low) - 1,
                               height: y(0) - at }));
    });
    parts.push(svg("line", { class: "diagonal", x1: x(0), x2: x(0), y1: y(0), y2: y(top) }));
    return parts;
  }

  function say({ sd, wrong }, { gap, images, seeds }) {
    const which = gap ? `A method that is better by ${gap.toFixed(1)} points`
      : "Each of two equal methods";
    return `${which} looks worse in ${(100 * wrong).toFixed(0)} % of the studies. With ` +
      `${written(images)} test images and ${seeds} seed${seeds > 1 ? "s" : ""} the difference ` +
      `varies by ${sd.toFixed(2)} points (standard deviation).`;
  }

  const report = ({ sd, wrong }) => ({ sd, wrong });
  window.explore.define("seeds", { compute, draw, say, report });
})();
