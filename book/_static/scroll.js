// What scrolls sideways can be reached and moved with the keyboard.
(function () {
  "use strict";
  function reach() {
    for (const box of document.querySelectorAll(".cell_output, .genindextable, .bd-article pre")) {
      if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    }
  }
  window.addEventListener("load", reach);
  window.addEventListener("resize", reach);
})();
