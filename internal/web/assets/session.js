// Warns before the time after identity verification is over (KRDS, session expiry), and lets it be extended, as
// the server says. The element #session carries:
//   data-seconds, data-warn   until the end; before the end, when the warning comes
//   data-left, data-last      words, {s} is seconds; the second where nothing can be extended
//   data-over                 address when it is over
(() => {
  "use strict";
  const bar = document.getElementById("session");
  const warning = document.getElementById("session-warning");
  const says = document.getElementById("session-left");
  const form = document.getElementById("session-form");
  const { warn, left: more, last, over } = bar.dataset;
  let deadline = Date.now() + Number(bar.dataset.seconds) * 1000;
  let words = more;
  let closed = false;

  const end = () => location.replace(over);

  const tick = () => {
    const seconds = Math.ceil((deadline - Date.now()) / 1000);
    if (seconds <= 0) return end();
    if (seconds > warn) return;
    if (!warning.open && !closed) warning.showModal();
    // It is read out: every tenth second is enough.
    const text = words.replace("{s}", String(Math.ceil(seconds / 10) * 10));
    if (says.textContent !== text) says.textContent = text;
  };

  warning.addEventListener("cancel", () => { closed = true; });

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const response = await fetch(form.action, { method: "POST", headers: { Accept: "application/json" }, body: new URLSearchParams(new FormData(form)) });
      if (!response.ok) return end();
      const { seconds, ends } = await response.json();
      deadline = Date.now() + seconds * 1000;
      document.getElementById("session-ends").textContent = ends;
      if (seconds > warn) return warning.close();
      words = last;
      tick();
    } catch {
      form.submit();
    }
  });

  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  setInterval(tick, 1000);
  tick();
})();
