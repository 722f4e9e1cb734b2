// What scrolls sideways can be reached and moved with the keyboard, and a table says that it does.
(function () {
  "use strict";
  const BOXES = ".cell_output, figure.front, .output.text_html, .genindextable, " +
    ".pst-scrollable-table-container, .bd-article pre";
  function reach() {
    for (const box of document.querySelectorAll(BOXES)) {
      const scrolls = box.scrollWidth > box.clientWidth;
      if (scrolls) box.tabIndex = 0;
      box.classList.toggle("scrolls", scrolls);
    }
  }
  window.addEventListener("load", reach);
  window.addEventListener("resize", reach);
})();
