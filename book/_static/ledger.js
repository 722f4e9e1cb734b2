/* Sort and filter for the ledger.  Without this script it is a plain table whose rows open and close. */
(function () {
  "use strict";

  function element(name, properties, ...children) {
    const made = Object.assign(document.createElement(name), properties);
    made.append(...children);
    return made;
  }

  function enhance(ledger) {
    const table = ledger.querySelector("table");
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const text = new Map(rows.map((row) => [row, row.textContent.toLowerCase()]));

    // Filter: words, and a verdict and a weight with the number of claims that carry them.
    function choice(what, valuesOf) {
      const counts = new Map();
      for (const value of rows.flatMap(valuesOf)) counts.set(value, (counts.get(value) || 0) + 1);
      const select = element("select", {}, element("option", { value: "", textContent: `any ${what}` }));
      for (const value of [...counts.keys()].sort()) {
        select.append(element("option", { value, textContent: `${value} (${counts.get(value)})` }));
      }
      return select;
    }
    const words = element("input", { type: "search" });
    const verdict = choice("verdict", (row) => row.dataset.verdicts.split("|"));
    const weight = choice("weight", (row) => [row.dataset.weight]);
    const all = element("button", { type: "button", textContent: "Open all" });
    const shown = element("output", {});
    shown.setAttribute("aria-live", "polite");

    function filter() {
      const wanted = words.value.toLowerCase().split(/\s+/).filter(Boolean);
      let left = 0;
      for (const row of rows) {
        row.hidden =
          (verdict.value && !row.dataset.verdicts.split("|").includes(verdict.value)) ||
          (weight.value && row.dataset.weight !== weight.value) ||
          !wanted.every((word) => text.get(row).includes(word));
        left += !row.hidden;
      }
      shown.textContent = `${left} of ${rows.length} claims`;
    }

    words.addEventListener("input", filter);
    verdict.addEventListener("change", filter);
    weight.addEventListener("change", filter);
    all.addEventListener("click", function () {
      const open = all.textContent === "Open all";
      for (const row of rows.filter((r) => !r.hidden)) {
        row.querySelector("details").open = open;
      }
      all.textContent = open ? "Close all" : "Open all";
    });
    ledger.prepend(
      element("div", { className: "ledger-controls" },
        element("label", {}, "Search ", words), element("label", {}, "Verdict ", verdict),
        element("label", {}, "Weight ", weight), all, shown)
    );

    // Sort: a button in each heading; the order is told by aria-sort.
    function key(row, column) {
      const cell = row.cells[column];
      return cell.dataset.sort || cell.textContent.trim().toLowerCase();
    }
    const headings = [...table.tHead.rows[0].cells];
    headings.slice(0, -1).forEach(function (heading, column) {
      const button = element("button", { type: "button", textContent: heading.textContent });
      heading.replaceChildren(button);
      button.addEventListener("click", function () {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const sorted = [...rows].sort(
          (a, b) => (down ? -1 : 1) * key(a, column).localeCompare(key(b, column), "en", { numeric: true })
        );
        body.append(...sorted);
      });
    });

    // A link to a row opens it, and shows it if the filter hid it.
    function visit() {
      const row = document.getElementById(decodeURIComponent(location.hash.slice(1)));
      if (row && rows.includes(row)) {
        words.value = verdict.value = weight.value = "";
        filter();
        row.querySelector("details").open = true;
        row.scrollIntoView({ block: "center" });
      }
    }
    window.addEventListener("hashchange", visit);
    filter();
    visit();
  }

  document.addEventListener("DOMContentLoaded", function () {
    document.querySelectorAll(".ledger").forEach(enhance);
  });
})();
