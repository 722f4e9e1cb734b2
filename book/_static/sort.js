// A click on a heading sorts a table of numbers. Without this script the table stays in the order in
// which it was made.
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
      if (!heading) return;
      const button = Object.assign(document.createElement("button"), { type: "button" });
      button.append(...heading.childNodes);
      heading.append(button);
      button.addEventListener("click", function () {
        const down = heading.getAttribute("aria-sort") === "ascending";
        table.querySelectorAll("[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
        heading.setAttribute("aria-sort", down ? "descending" : "ascending");
        split(body);
        const rows = [...body.rows].map((row) => [value(row, column), row]);
        rows.sort((a, b) => (down ? -1 : 1) * compare(a[0], b[0]));
        body.append(...rows.map((row) => row[1]));
      });
    });
    table.classList.add("sortable");
  }

  // The lowest heading of each column that is its alone; the corner may have none.
  function headingsOf(table) {
    const lines = [...(table.tHead ? table.tHead.rows : [])].map((row) =>
      [...row.cells].flatMap((cell) => Array(cell.colSpan).fill(cell))
    );
    const own = (cell) => cell && cell.tagName === "TH" && cell.colSpan === 1 && cell.textContent.trim();
    return (lines[0] || []).map((_, k) => lines.map((line) => line[k]).filter(own).at(-1));
  }

  document.addEventListener("DOMContentLoaded", function () {
    for (const table of document.querySelectorAll(".cell_output table:has(th.row_heading)")) {
      if (!table.matches(".cards")) enhance(table, headingsOf(table));
    }
  });
})();
