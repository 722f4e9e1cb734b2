// A click on a heading sorts a table of numbers whose rows have one name each. Without this script
// the table stays in the order in which it was made.
(function () {
  "use strict";

  function value(row, column) {
    const text = row.cells[column].textContent.trim();
    const number = parseFloat(text.replace("−", "-").replace(/,/g, ""));
    return Number.isNaN(number) ? text.toLowerCase() : number;
  }

  function compare(a, b) {
    if (typeof a !== typeof b) return typeof a === "number" ? -1 : 1; // a dash comes last
    return a < b ? -1 : a > b ? 1 : 0;
  }

  function enhance(table) {
    const body = table.tBodies[0];
    const headings = [...table.tHead.rows[0].cells];
    headings.forEach(function (heading, column) {
      if (heading.tagName !== "TH") return; // the empty corner
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", function () {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
        body.append(...rows.map((row) => row[1]));
      });
    });
    table.classList.add("sortable");
  }

  document.addEventListener("DOMContentLoaded", function () {
    for (const table of document.querySelectorAll(".cell_output table:has(th.row_heading)")) {
      const plain = table.tHead && table.tHead.rows.length === 1 && !table.querySelector(".level1");
      if (plain && !table.matches(".cards")) enhance(table);
    }
  });
})();
