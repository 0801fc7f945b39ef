// A form that is on its way is not sent a second time: a double click would break off the first answer,
// which may carry the login. After a while it may be, for what the network has lost.
(() => {
  "use strict";
  const sent = new WeakMap();
  document.addEventListener("submit", (event) => {
    const now = Date.now();
    if (now - (sent.get(event.target) ?? 0) < 3000) {
      event.preventDefault();
    } else {
      sent.set(event.target, now);
    }
  });
})();
