// Asks the broker's iframe every few seconds whether the login there is still the same (OIDC Session
// Management §3.1). The question stays in the browser. If the login has changed, the site asks the broker.
"use strict";
(() => {
  const { frame, origin, message } = document.body.dataset;
  const op = document.createElement("iframe");
  op.title = "정부 통합로그인 상태";
  const ask = () => op.contentWindow.postMessage(message, origin);
  let timer;
  op.addEventListener("load", () => {
    clearInterval(timer);
    timer = setInterval(ask, 3000);
    ask();
  });
  addEventListener("message", (e) => {
    if (e.source !== op.contentWindow || e.origin !== origin || e.data === "unchanged") return;
    clearInterval(timer);
    // "error" means that the question was wrong: asking the broker itself would change nothing.
    if (e.data === "changed") parent.location.assign("/anyid/check");
  });
  op.src = frame;
  document.body.append(op);
})();
