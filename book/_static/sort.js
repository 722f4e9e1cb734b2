// A click on a heading sorts a table whose columns have one name each. Without this script the table
// stays in the order in which it was made.
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

  // A name that stands once for several rows is written in each of them: they may part.
  function split(body) {
    for (const row of body.rows) {
      for (const cell of row.cells) {
        let next = row;
        for (; cell.rowSpan > 1; cell.rowSpan--) {
          next = next.nextElementSibling;
          const copy = cell.cloneNode(true);
          copy.rowSpan = 1;
          copy.removeAttribute("id");
          next.insertBefore(copy, next.cells[cell.cellIndex]);
        }
      }
    }
  }

  function enhance(table, headings) {
    const body = table.tBodies[0];
    headings.forEach(function (heading, column) {
      if (heading.tagName !== "TH") return; // the empty corner
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", function () {
        const down = heading.getAttribute("aria-sort") === "ascending";
        headings.forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        split(body);
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
        body.append(...rows.map((row) => row[1]));
      });
    });
    table.classList.add("sortable");
  }

  // The heading of each column; the names of the rows' levels stand in a line of their own.
  function headingsOf(table) {
    const [first, second, third] = table.tHead ? table.tHead.rows : [];
    const named = (cell) => cell.matches(".index_name") || !cell.textContent.trim();
    if (!first || third || [...first.cells].some((cell) => cell.colSpan > 1)) return null;
    if (second && ![...second.cells].every(named)) return null;
    const below = (k) => second && second.cells[k] && second.cells[k].tagName === "TH";
    return [...first.cells].map((cell, k) => (below(k) ? second.cells[k] : cell));
  }

  document.addEventListener("DOMContentLoaded", function () {
    for (const table of document.querySelectorAll(".cell_output table:has(th.row_heading)")) {
      const headings = table.matches(".cards") ? null : headingsOf(table);
      if (headings) enhance(table, headings);
    }
  });
})();
