/* How often each pair of a grid would come out best, if the noise of images and seeds were drawn
   again. */
(function () {
  "use strict";
  const { svg, written } = window.explore;
  const POINTS = 2001, REACH = 6, SIDE = 270, LEFT = 60, TOP = 24;

  /** Share of repetitions in which each loss, with normal noise of one sd, is the lowest. */
  function shares(losses, sd) {
    const low = Math.min(...losses) - REACH * sd, high = Math.max(...losses) + REACH * sd;
    const step = (high - low) / (POINTS - 1), found = new Float64Array(losses.length);
    const above = new Float64Array(losses.length).fill(1);
    let before = losses.map(() => 0);
    for (let k = 0; k < POINTS; k++) {
      const density = losses.map((m) =>
        Math.exp(-0.5 * ((low + k * step - m) / sd) ** 2) / (sd * Math.sqrt(2 * Math.PI)));
      density.forEach((d, i) => { above[i] -= (step * (d + before[i])) / 2; });
      density.forEach((d, i) => {
        let rest = d * step;
        for (let j = 0; j < losses.length; j++) if (j !== i) rest *= Math.max(0, above[j]);
        found[i] += rest;
      });
      before = density;
    }
    return [...found];
  }

  function compute({ losses, perImage }, { images, spread }) {
    const sd = Math.sqrt(perImage ** 2 / (2 * images) + spread ** 2);
    return { sd, found: shares(losses, sd) };
  }

  function draw({ found }, values, { alphas, taus, published }) {
    const width = SIDE / taus.length, height = SIDE / alphas.length, top = Math.max(...found);
    const parts = [];
    found.forEach((share, i) => {
      const row = Math.floor(i / taus.length), column = i % taus.length;
      const x = LEFT + column * width, y = TOP + row * height;
      parts.push(svg("rect", { class: "shade", x, y, width: width - 2, height: height - 2,
                               opacity: 0.1 + 0.45 * share / top }),
                 svg("text", { x: x + width / 2, y: y + height / 2 + 5, "text-anchor": "middle" },
                     `${(100 * share).toFixed(0)} %`));
      for (const [marked, kind, gap] of [[share === top, "best", 1], [i === published, "theirs", 5]]) {
        if (!marked) continue;
        parts.push(svg("rect", { class: kind, x: x + gap, y: y + gap, width: width - 2 - 2 * gap,
                                 height: height - 2 - 2 * gap }));
      }
    });
    taus.forEach((tau, c) => parts.push(svg("text",
      { x: LEFT + (c + 0.5) * width, y: TOP + SIDE + 16, "text-anchor": "middle" }, tau.toFixed(2))));
    alphas.forEach((alpha, r) => parts.push(svg("text",
      { x: LEFT - 8, y: TOP + (r + 0.5) * height + 5, "text-anchor": "end" }, alpha.toFixed(2))));
    parts.push(svg("text", { x: LEFT + SIDE / 2, y: 336, "text-anchor": "middle" }, "τ"),
               svg("text", { x: 12, y: TOP + SIDE / 2, "text-anchor": "middle" }, "α"));
    return parts;
  }

  function say({ sd, found }, { images }, { alphas, taus, published }) {
    const best = found.indexOf(Math.max(...found));
    const name = (i) => `α ${alphas[Math.floor(i / taus.length)].toFixed(2)}, ` +
      `τ ${taus[i % taus.length].toFixed(2)}`;
    const theirs = published < 0 ? "" :
      ` The paper's pair, in dashes, comes out best in ${(100 * found[published]).toFixed(0)} %.`;
    return `With ${written(images)} validation images, a loss varies by ${sd.toFixed(4)} ` +
      `(standard deviation). The pair ${name(best)}, in full frame, comes out best in ` +
      `${(100 * found[best]).toFixed(0)} % of the repetitions.${theirs}`;
  }

  const report = ({ sd, found }) => ({ sd, shares: found });
  window.explore.define("tuning", { compute, draw, say, report });
})();
