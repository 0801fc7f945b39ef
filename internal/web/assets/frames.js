// Goes on when the frames of the sites that are signed out of are loaded, or after five seconds.
(() => {
  "use strict";
  const next = document.getElementById("logout-continue");
  if (!next) return;
  const go = () => next.click();
  addEventListener("load", go); // comes after the frames
  setTimeout(go, 5000);
})();
