/* Reliability diagram of recorded logits with the noise floor of its ECE. */
(function () {
  "use strict";
  const { bytes, quantile, random, softmax, svg, plane, written } = window.explore;
  const DRAWS = 600;

  function prepare(given) {
    const logits = Object.entries(given.logits)
      .map(([title, text]) => [title, new Float32Array(bytes(text).buffer)]);
    return { ...given, labels: bytes(given.labels), logits: Object.fromEntries(logits) };
  }

  /** Score of each image, and whether what it speaks of is so: the class, or the top label. */
  function scores(data, { network, of, temperature, images, prior }) {
    const logits = data.logits[network], K = data.classes.length, one = data.classes.indexOf(of);
    const score = new Float64Array(images), hit = new Uint8Array(images);
    for (let i = 0; i < images; i++) {
      const z = Array.from(logits.subarray(i * K, (i + 1) * K),
        (v, k) => (v - (prior ? data.logWeights[k] : 0)) / temperature);
      const p = softmax(z), k = one < 0 ? p.indexOf(Math.max(...p)) : one;
      score[i] = p[k];
      hit[i] = data.labels[i] === k;
    }
    return { score, hit };
  }

  const ece = (hits, total, n) => hits.reduce((sum, h, b) => sum + Math.abs(h - total[b]), 0) / n;

  /** Where every label is drawn from its score: the ECE that 95 % of drawings stay below, and the
   *  hits of each bin between which 95 % lie. */
  function floor(score, where, total, bins) {
    const uniform = random(1), errors = [], shares = Array.from({ length: bins }, () => []);
    const hits = new Float64Array(bins);
    for (let r = 0; r < DRAWS; r++) {
      hits.fill(0);
      for (let i = 0; i < score.length; i++) if (uniform() < score[i]) hits[where[i]]++;
      errors.push(ece(hits, total, score.length));
      hits.forEach((h, b) => shares[b].push(h));
    }
    const ends = (values) => [quantile(values, 0.025), quantile(values, 0.975)];
    return { ece: quantile(errors, 0.95), hits: shares.map(ends) };
  }

  function compute(data, values) {
    const { bins, images } = values, { score, hit } = scores(data, values);
    const where = Uint16Array.from(score, (s) => Math.max(0, Math.ceil(s * bins) - 1));
    const count = new Float64Array(bins), total = new Float64Array(bins);
    const hits = new Float64Array(bins);
    where.forEach((b, i) => { count[b]++; total[b] += score[i]; hits[b] += hit[i]; });
    const drawn = floor(score, where, total, bins);
    const outside = drawn.hits.map(([low, high], b) => hits[b] < low || hits[b] > high);
    return { count, total, hits, outside, ece: ece(hits, total, images), floor: drawn };
  }

  function draw(r, { bins, images, of }) {
    const top = of === "Top label", share = top ? "share of right answers" : `share that is ${of}`;
    const score = top ? "confidence" : `probability of ${of}`;
    const { x, y, parts } = plane([0, 1], [0, 1], score, share);
    parts.push(svg("line", { class: "diagonal", x1: x(0), y1: y(0), x2: x(1), y2: y(1) }));
    for (let b = 0; b < bins; b++) {
      if (!r.count[b]) continue;
      const [low, high] = r.floor.hits[b].map((h) => h / r.count[b]);
      const block = { x: x(b / bins), width: x(1 / bins) - x(0), y: y(high),
                      height: Math.max(1, y(low) - y(high)) };
      const dot = { cx: x(r.total[b] / r.count[b]), cy: y(r.hits[b] / r.count[b]) };
      const kind = r.outside[b] ? "out" : "in", size = 2.5 + 6 * Math.sqrt(r.count[b] / images);
      parts.push(svg("rect", { class: "band", ...block }),
                 svg("circle", { class: `size ${kind}`, ...dot, r: size }),
                 svg("rect", { class: "edge", ...block }),
                 svg("circle", { class: kind, ...dot, r: 2.5 }));
    }
    return parts;
  }

  const outside = (r) => r.outside.filter(Boolean).length;
  const filled = (r) => r.count.filter(Boolean).length;

  function say(r, { of, bins, images }) {
    const most = r.floor.ece;
    const verdict = r.ece > most ? "the error is larger than sampling noise explains"
      : "sampling noise alone explains an error of this size";
    const what = of === "Top label" ? "the top label" : of;
    return `Over all bins together, ${verdict}: the ECE of ${what} is ${r.ece.toFixed(4)} on ${written(images)} test ` +
      `images in ${bins} bins, and that of a perfectly calibrated network would stay below ` +
      `${most.toFixed(4)} in 95 % of test sets. Of single bins, ${outside(r)} of ${filled(r)} lie ` +
      "outside their block, where chance alone puts up to one in twenty.";
  }

  const report = (r) => ({ ece: r.ece, floor: r.floor.ece, outside: outside(r),
                            filled: filled(r) });
  window.explore.define("reliability", { prepare, compute, draw, say, report });
})();
