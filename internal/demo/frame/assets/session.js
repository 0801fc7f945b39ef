// Counts down to the server's deadline, offers to extend the session in time, and leaves when it is over.
// Without this script the header says at which time the session ends, with a button that extends it.
"use strict";
(() => {
  const at = (id) => document.getElementById(id);
  const shown = at("session-remaining");
  const dialog = at("session-warning");
  const problem = at("session-warning-problem");
  const lead = Number(shown.dataset.warn);

  let end; // Date, not performance.now: that one stands still while the machine sleeps
  let warnAt = lead;
  let warned = false;
  let said = 0; // the last mark that was announced
  let busy = false;

  const remaining = () => Math.max(0, Math.ceil((end - Date.now()) / 1000));
  const last = (seconds) => { end = Date.now() + seconds * 1000; };
  const clock = (s) => String(Math.floor(s / 60)).padStart(2, "0") + ":" + String(s % 60).padStart(2, "0");
  const leave = () => location.replace("/session/ended?back=" + encodeURIComponent(location.pathname));

  // Polite words at a few marks, not each second. In the modal window only what is in it is announced.
  const say = (s) => {
    const mark = (dialog.open ? [10, 20, 30, 60] : [300]).find((m) => s <= m);
    if (!mark || mark === said) return;
    said = mark;
    if (dialog.open) at("session-warning-announce").textContent = "로그인 시간이 " + s + "초 남았습니다.";
    else at("session-announce").textContent = "로그인 시간이 5분 이하로 남았습니다. 시간 연장 버튼으로 연장할 수 있습니다.";
  };

  // What the server says of the deadline; nothing if the session is over, and the page is left.
  const ask = async (method, path) => {
    const answer = await fetch(path, { method, headers: { Accept: "application/json" }, cache: "no-store" });
    if (answer.status === 401) {
      leave();
      return null;
    }
    if (!answer.ok) throw new Error(answer.status);
    return answer.json();
  };

  const granted = (seconds) => {
    last(seconds);
    warned = false;
    warnAt = seconds > lead ? lead : 20; // a session shorter than the warning must not ask at once again
    said = 0;
    problem.textContent = "";
    if (dialog.open) dialog.close(); // the focus goes back to where it was
  };

  const warn = async () => {
    warned = true;
    try {
      const now = await ask("GET", "/session");
      if (!now) return;
      if (now.seconds > warnAt) return granted(now.seconds); // another tab has extended it
      last(now.seconds);
    } catch {
      // The server cannot be asked: what the page knows stands.
    }
    if (!dialog.open) dialog.showModal(); // moves the focus in
    tick();
  };

  const extend = async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    try {
      const now = await ask("POST", "/session/extend");
      if (!now) return;
      if (now.final && now.seconds <= lead) {
        last(now.seconds);
        problem.textContent = "더 연장할 수 없습니다. 하던 일을 마치고 다시 로그인해 주세요.";
        return;
      }
      granted(now.seconds);
      tick();
      at("session-announce").textContent = "로그인 시간을 " + Math.round(now.seconds / 60) + "분으로 연장했습니다.";
    } catch {
      if (dialog.open) problem.textContent = "연장하지 못했습니다. 연결을 확인하고 다시 눌러 주세요.";
      else event.target.submit(); // the browser shows what is wrong
    } finally {
      busy = false;
    }
  };

  const tick = () => {
    const s = remaining();
    shown.textContent = clock(s);
    at("session-warning-time").textContent = clock(s);
    say(s);
    if (s === 0) {
      clearInterval(timer);
      leave(); // the server decides
    } else if (s <= warnAt && !warned) {
      warn();
    }
  };

  at("session-before").textContent = "로그아웃까지 ";
  at("session-after").textContent = "";
  last(Number(shown.dataset.seconds));
  for (const form of document.querySelectorAll("form[data-extend]")) form.addEventListener("submit", extend);
  const timer = setInterval(tick, 1000);
  tick();

  // Another tab may have extended the session, or ended it.
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible") return;
    try {
      const now = await ask("GET", "/session");
      if (now && now.seconds > remaining() + 1) granted(now.seconds);
    } catch {
      // Later, then.
    }
  });
  // A page from the back-forward cache shows the session as it was.
  addEventListener("pageshow", (e) => {
    if (e.persisted) location.reload();
  });
})();
