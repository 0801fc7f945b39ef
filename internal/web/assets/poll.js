// Asks the broker quietly whether the phone has answered, and then presses "authentication complete".
// The element #proof-status carries:
//   data-url      GET returns {"done": boolean, "remaining": seconds until the request expires}
//   data-every    milliseconds between two questions
//   data-remaining, data-done, data-lost   words to show; {m} and {s} are minutes and seconds
(() => {
  "use strict";
  const status = document.getElementById("proof-status");
  const timer = document.getElementById("proof-remaining");
  const form = document.getElementById("complete-form");
  const { url, every, remaining: words, done, lost } = status.dataset;
  const interval = Math.max(1000, Number(every));
  let deadline = Date.now() + Number(timer.dataset.seconds) * 1000;
  let failures = 0;
  let sent = false;

  form.addEventListener("submit", () => { sent = true; });

  const tick = () => {
    const left = Math.max(0, Math.round((deadline - Date.now()) / 1000));
    timer.textContent = words.replace("{m}", String(Math.floor(left / 60))).replace("{s}", String(left % 60));
  };

  const finish = () => {
    if (sent) return;
    sent = true;
    status.textContent = done;
    form.submit();
  };

  const ask = async () => {
    if (sent) return;
    try {
      const response = await fetch(url, { headers: { Accept: "application/json" }, cache: "no-store" });
      if (response.ok) {
        const answer = await response.json();
        failures = 0;
        if (answer.done) return finish();
        deadline = Date.now() + answer.remaining * 1000;
      } else if (response.status < 500 && response.status !== 429) {
        return finish(); // the request is gone: the page behind the button says why
      } else {
        failures++;
      }
    } catch {
      failures++;
    }
    if (failures === 3) status.textContent = lost;
    setTimeout(ask, interval * Math.min(8, 1 + failures));
  };

  // Back from the next page: what is shown was true then.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  setInterval(tick, 1000);
  setTimeout(ask, interval);
})();
