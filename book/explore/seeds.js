/* How often the better of two methods looks worse, by test set and by seed. */
(function () {
  "use strict";
  const { random, svg, plane, written } = window.explore;
  const STUDIES = 4000, BARS = 60, SPAN = 6;

  /** Differences in accuracy, better minus worse, of repeated studies; in percentage points.  Each
      study draws the true gap of its trained networks, the mean of its seeds, and a test set: one
      after the other the images that only one method answers rightly. */
  function compute(data, { gap, images, spread, seeds, disagree }) {
    const uniform = random(7), found = new Float64Array(STUDIES);
    const share = disagree / 100, apart = spread * Math.sqrt(2 / seeds);
    for (let i = 0; i < STUDIES; i++) {
      const far = apart * Math.sqrt(-2 * Math.log(1 - uniform()));  // Box and Muller's normal number
      const better = 0.5 + (gap + far * Math.cos(2 * Math.PI * uniform())) / (2 * disagree);
      let at = 0, net = 0;
      for (;;) {
        at += 1 + Math.floor(Math.log(1 - uniform()) / Math.log(1 - share));
        if (at > images) break;
        net += uniform() < better ? 1 : -1;
      }
      found[i] = (100 * net) / images;
    }
    const mean = found.reduce((a, b) => a + b) / STUDIES;
    const sd = Math.sqrt(found.reduce((sum, d) => sum + (d - mean) ** 2, 0) / STUDIES);
    const wrong = found.reduce((sum, d) => sum + (d < 0) + (d === 0) / 2, 0) / STUDIES;
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
