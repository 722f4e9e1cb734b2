/* ACR over the probabilities of three classes: penalty, pull, and where the whole loss is least. */
(function () {
  "use strict";
  const { svg } = window.explore;
  const LEFT = 24, WIDE = 312, HIGH = WIDE * Math.sqrt(0.75), TOP = 48, CELLS = 36;
  const place = ([a, b, c]) => [LEFT + WIDE * (b + c / 2), TOP + HIGH * (1 - c)];
  const at = (p) => place(p).map((v) => v.toFixed(1)).join(",");
  const sorted = (p) => [0, 1, 2].sort((i, j) => p[j] - p[i]);

  function penalty(p, alpha, tau) {
    const [i, j] = sorted(p), margin = p[i] - p[j];
    return alpha * (Math.max(0, tau - margin) + 0.5 * Math.max(0, margin - tau));
  }

  /** Where a small descent of the penalty in the logits moves the probabilities. */
  function pull(p, tau) {
    const [i, j] = sorted(p), slope = p[i] - p[j] < tau ? -1 : 0.5;
    const g = [0, 0, 0];
    g[i] += slope;
    g[j] -= slope;
    const jacobian = (v) => {
      const mean = p.reduce((sum, q, k) => sum + q * v[k], 0);
      return p.map((q, k) => q * (v[k] - mean));
    };
    return jacobian(jacobian(g)).map((v) => -v);
  }

  // Along these directions run the loss's kinks (margin = tau, two equal classes) as well.
  const WAYS = [[1, -1, 0], [1, 0, -1], [0, 1, -1], [2, -1, -1], [-1, 2, -1], [-1, -1, 2]]
    .flatMap((d) => [d, d.map((v) => -v)]);

  /** The prediction with the least cross-entropy plus penalty: a grid, then ever smaller steps. */
  function optimum(truth, alpha, tau) {
    const loss = (p) => p.some((q) => q <= 0) ? Infinity
      : penalty(p, alpha, tau) - truth.reduce((sum, t, k) => sum + t * Math.log(p[k]), 0);
    let best = truth, least = loss(truth);
    const attempt = (p) => {
      const value = loss(p);
      if (value >= least) return false;
      [best, least] = [p, value];
      return true;
    };
    for (let i = 1; i < 60; i++) {
      for (let j = 1; i + j < 60; j++) attempt([i / 60, j / 60, 1 - (i + j) / 60]);
    }
    for (let step = 1 / 60; step > 1e-10; step /= 2) {
      for (let k = 0; k < 200; k++) {
        const from = best;
        if (!WAYS.some((d) => attempt(from.map((q, m) => q + step * d[m])))) break;
      }
    }
    return { best, least };
  }

  const truthOf = ({ first, share }) => [first, (1 - first) * share, (1 - first) * (1 - share)];

  function compute(data, values) {
    const truth = truthOf(values), { alpha, tau } = values;
    return { truth, ...optimum(truth, alpha, tau) };
  }

  function cells(alpha, tau) {
    const made = [], most = Math.max(tau, 0.5 * (1 - tau)), n = CELLS;
    const corner = (i, j) => [1 - (i + j) / n, i / n, j / n];
    for (let i = 0; i < n; i++) {
      for (let j = 0; i + j < n; j++) {
        const halves = [[[i, j], [i + 1, j], [i, j + 1]]];
        if (i + j + 2 <= n) halves.push([[i + 1, j], [i + 1, j + 1], [i, j + 1]]);
        for (const half of halves) {
          const corners = half.map(([u, v]) => corner(u, v));
          const middle = [0, 1, 2].map((k) => (corners[0][k] + corners[1][k] + corners[2][k]) / 3);
          const share = penalty(middle, alpha && 1, tau) / most;
          made.push(svg("polygon", { class: "shade", points: corners.map(at).join(" "),
                                     "fill-opacity": (0.8 * share).toFixed(3) }));
        }
      }
    }
    return made;
  }

  function arrows(alpha, tau) {
    if (!alpha) return [];
    const made = [], n = 11;
    for (let i = 1; i < n; i++) {
      for (let j = 1; i + j < n; j++) {
        const p = [i / n + 0.004, j / n - 0.003, 1 - (i + j) / n - 0.001], move = pull(p, tau);
        const longest = Math.max(...move.map(Math.abs));
        const scale = 0.045 * Math.min(1, longest / 0.08) / longest;
        const [x0, y0] = place(p), [x1, y1] = place(p.map((q, k) => q + scale * move[k]));
        const turn = Math.atan2(y1 - y0, x1 - x0);
        const head = [2.6, -2.6].map((a) => `M${x1},${y1}l${4 * Math.cos(turn + a)},` +
          `${4 * Math.sin(turn + a)}`).join("");
        made.push(svg("path", { class: "arrow", d: `M${x0},${y0}L${x1},${y1}${head}` }));
      }
    }
    return made;
  }

  function draw({ truth, best }, { alpha, tau }) {
    const [tx, ty] = place(truth), [ox, oy] = place(best);
    const names = [["A", LEFT, TOP + HIGH + 18], ["B", LEFT + WIDE, TOP + HIGH + 18],
                   ["C", LEFT + WIDE / 2, TOP - 8]];
    return [...cells(alpha, tau), ...arrows(alpha, tau),
            svg("polygon", { class: "frame",
                             points: [[1, 0, 0], [0, 1, 0], [0, 0, 1]].map(at).join(" ") }),
            ...names.map(([name, x, y]) => svg("text", { x, y, "text-anchor": "middle" }, name)),
            svg("circle", { class: "truth", cx: tx, cy: ty, r: 10 }),
            svg("path", { class: "optimum", d: `M${ox - 5},${oy}l5,-5l5,5l-5,5z` })];
  }

  function say({ truth, best }) {
    const words = (p) => p.map((v, k) => `${"ABC"[k]} ${v.toFixed(3)}`).join(", ");
    const top = sorted(truth)[0], gap = best[top] - truth[top];
    const verdict = Math.abs(gap) < 0.0005 ? "The loss is least at the truth, to three decimals"
      : `The loss aims ${Math.abs(gap).toFixed(3)} too ${gap > 0 ? "high" : "low"} for the ` +
        "likeliest class";
    return `${verdict}: where the truth is ${words(truth)}, cross-entropy and ACR together are ` +
      `least at ${words(best)}.`;
  }

  /** The sliders' values for a truth at this place of the picture, kept within the triangle. */
  function drag(x, y) {
    const keep = (v, low, high) => Math.min(high, Math.max(low, v));
    const c = keep(1 - (y - TOP) / HIGH, 0.001, 0.98);
    const b = keep((x - LEFT) / WIDE - c / 2, 0.001, 0.99 - c);
    return { first: keep(1 - b - c, 0.01, 0.98).toFixed(2), share: (b / (b + c)).toFixed(2) };
  }

  const report = ({ truth, best, least }) => ({ truth, best, loss: least });
  window.explore.define("simplex", { box: "0 26 360 318", compute, draw, say, drag, report });
})();
