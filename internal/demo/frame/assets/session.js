// Counts down to the server's deadline, warns a minute before it, and leaves when it has passed.
// Without this script the header says at which time the session ends.
"use strict";
(() => {
  const shown = document.getElementById("session-remaining");
  const dialog = document.getElementById("session-warning");
  const left = document.getElementById("session-warning-time");
  const announce = document.getElementById("session-announce");
  // Date, not performance.now: that one stands still while the machine sleeps.
  const end = Date.now() + Number(shown.dataset.seconds) * 1000;
  const warnAt = 60;
  let warned = false;
  let announced = false;

  const clock = (s) => String(Math.floor(s / 60)).padStart(2, "0") + ":" + String(s % 60).padStart(2, "0");

  const tick = () => {
    const s = Math.max(0, Math.ceil((end - Date.now()) / 1000));
    shown.textContent = clock(s);
    left.textContent = s + "초";
    if (s <= 300 && !announced) {
      announced = true;
      announce.textContent = "로그인 시간이 5분 이하로 남았습니다. 시간 연장 버튼으로 연장할 수 있습니다.";
    }
    if (s <= warnAt && !warned) {
      warned = true;
      dialog.showModal(); // moves the focus in, and back when it is closed
    }
    if (s === 0) {
      clearInterval(timer);
      location.replace(location.pathname); // the server decides: another tab may have extended
    }
  };
  const timer = setInterval(tick, 1000);
  tick();

  // A page from the back-forward cache shows the session as it was.
  addEventListener("pageshow", (e) => {
    if (e.persisted) location.reload();
  });
})();
