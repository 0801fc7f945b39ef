// The signer of the joint certificate's page. It loads the program (signer.wasm), shows the certificates in the
// files that are chosen, and sends what the program signs by #cert-form, which carries:
//   data-signer    address of the program
//   data-request   what to sign (authn.SignRequest), as JSON
// Files and password stay in this page; the program overwrites what it opens. Words to show are in #cert-words.
(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const form = at("cert-form");
  if (!globalThis.WebAssembly || !globalThis.Go) {
    at("cert-unsupported").hidden = false;
    return;
  }
  const maxFiles = 64, maxSeen = 4096, maxDepth = 8, maxSize = 1 << 20;
  const wanted = { content: "Content", ucpid: "UCPID", policies: "Policies", recipient: "Recipient" };
  const asked = JSON.parse(form.dataset.request);
  const request = Object.fromEntries(Object.entries(wanted).map(([to, from]) => [to, asked[from]]));
  const language = document.documentElement.lang;
  const password = at("cert-password"), state = at("cert-state"), timer = at("cert-remaining"), button = at("cert-sign");
  let files = []; // {name, data} of all choices so far
  let attempts = {}; // wrong passwords by entry
  let entries = [], program = null, late = false, busy = false;

  const say = (code, values = {}) => {
    const text = at("cert-words").content.querySelector(`[data-word="${code}"]`).textContent;
    return Object.entries(values).reduce((t, [name, value]) => t.replace(`{${name}}`, value), text);
  };
  const complain = (place, lines) => {
    const list = [lines ?? []].flat().map((line) => {
      const p = at("cert-problem").content.cloneNode(true);
      p.querySelector("span").textContent = line;
      return p;
    });
    at(place).replaceChildren(...list);
    return list.length > 0;
  };
  const complainPassword = (line) => {
    at("cert-password-group").classList.toggle("is-error", Boolean(line));
    password.toggleAttribute("aria-invalid", Boolean(line));
    complain("cert-password-error", line);
    if (line) password.focus();
  };
  const painted = () => new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));

  // The program, while the citizen looks for the files.
  const started = (async () => {
    const go = new Go();
    const answer = fetch(form.dataset.signer);
    const { instance } = WebAssembly.instantiateStreaming
      ? await WebAssembly.instantiateStreaming(answer, go.importObject)
      : await WebAssembly.instantiate(await (await answer).arrayBuffer(), go.importObject);
    program = await new Promise((resolve, reject) => {
      globalThis.anyidSigner = resolve;
      go.run(instance).then(reject, reject);
    });
    performance.mark("signer-ready");
    if (files.length === 0) state.textContent = say("ready");
  })();
  started.catch(() => { state.textContent = say("load-failed"); });

  // The list.
  const make = (name, attributes, ...inside) => {
    const made = Object.assign(document.createElement(name), attributes);
    made.append(...inside);
    return made;
  };
  const row = (entry) => {
    const id = "cert-" + entry.id.replace(".", "-");
    const lines = entry.file
      ? { who: say("file", { name: entry.file }), what: entry.reason ? "" : say("locked") }
      : { who: entry.name, what: [entry.issuer[language], entry.kind[language]].filter(Boolean).join(" · "), until: say("until", { year: entry.notAfter.slice(0, 4), month: entry.notAfter.slice(5, 7), day: entry.notAfter.slice(8) }) };
    if (entry.reason) lines.why = say(entry.reason);
    return make("div", { className: "krds-form-check certificate" },
      make("input", { type: "radio", name: "certificate", id, value: entry.id, disabled: entry.reason !== "" }),
      make("label", { htmlFor: id }, ...Object.entries(lines).filter(([, text]) => text).map(([className, textContent]) => make("span", { className, textContent }))));
  };
  const summary = () => {
    const found = entries.filter((entry) => entry.reason !== "broken").length;
    if (found === 0) return say("none");
    return entries.some((entry) => !entry.reason) ? say("found", { n: found }) : say("unusable", { n: found });
  };
  const chosen = () => document.querySelector("#cert-entries input:checked")?.value;
  const show = (list) => {
    entries = list;
    at("cert-entries").replaceChildren(...list.map(row));
    const usable = list.filter((entry) => !entry.reason);
    if (usable.length === 1) at("cert-" + usable[0].id.replace(".", "-")).checked = true;
    state.textContent = summary();
    if (list.length > 0) at("cert-list").scrollIntoView({ block: "nearest" });
  };

  // Reading: from either field, or from what was dropped.
  const offered = (file) => /\.(der|key|p12|pfx)$/i.test(file.name);
  const add = async (found) => {
    const problems = [];
    // In a whole NPKI folder there is more than what a citizen signs with.
    const rank = (f) => (/^sign|\.(p12|pfx)$/i.test(f.file.name) ? 0 : /^km/i.test(f.file.name) ? 2 : 1);
    const list = found.filter((f) => offered(f.file)).sort((a, b) => rank(a) - rank(b));
    for (const { file, path } of list) {
      if (file.size > maxSize) {
        problems.push(say("too-large", { name: file.name }));
      } else if (files.length === maxFiles) {
        problems.push(say("too-many", { n: maxFiles }));
        break;
      } else {
        try {
          const data = new Uint8Array(await file.arrayBuffer());
          const same = (f) => f.name === path && f.data.length === data.length && f.data.every((b, i) => b === data[i]);
          if (!files.some(same)) files.push({ name: path, data });
        } catch {
          problems.push(say("unreadable", { name: file.name }));
        }
      }
    }
    complain("cert-files-error", problems);
    complain("cert-list-error");
    state.textContent = say("reading");
    try {
      await started;
    } catch {
      return;
    }
    show(program.list(files, request.policies));
  };
  for (const id of ["cert-files", "cert-folder"]) {
    at(id).addEventListener("change", ({ target }) => {
      const found = [...target.files].slice(0, maxSeen).map((file) => ({ file, path: file.webkitRelativePath || file.name }));
      target.value = ""; // the same choice again is a change again
      if (found.length > 0) add(found);
    });
  }

  // Dropping: folders are walked.
  const walk = async (entry, found, depth) => {
    if (found.length >= maxSeen || depth > maxDepth) return;
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ file, path: entry.fullPath });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const some = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (some.length === 0) return;
      for (const inner of some) await walk(inner, found, depth + 1);
    }
  };
  const drop = at("cert-drop");
  const dragged = (on) => drop.classList.toggle("over", on);
  // A file that misses the place would replace the page.
  for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => event.preventDefault());
  drop.addEventListener("dragover", () => dragged(true));
  drop.addEventListener("dragleave", (event) => dragged(drop.contains(event.relatedTarget)));
  drop.addEventListener("drop", async (event) => {
    dragged(false);
    const dropped = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
    const found = [];
    try {
      for (const entry of dropped) await walk(entry, found, 0);
    } catch {
      complain("cert-files-error", say("unreadable", { name: "" }));
    }
    if (found.length > 0) add(found);
  });

  // What this device has: a phone picks no folders, and knows no types by these endings.
  if (!("webkitdirectory" in at("cert-folder")) || matchMedia("(pointer: coarse)").matches) {
    at("cert-folder-pick").hidden = at("cert-drop-hint").hidden = true;
    at("cert-files").removeAttribute("accept");
  }

  // Signing.
  const finish = (answer) => {
    for (const name of ["signed", "ucpid", "vid"]) form.elements[name].value = answer[name];
    performance.mark("signed");
    password.value = "";
    files = entries = [];
    program = null;
    state.textContent = say("sent");
    form.submit();
  };
  const refuse = (id, answer) => {
    busy = false;
    button.classList.remove("busy");
    button.removeAttribute("aria-disabled");
    state.textContent = summary();
    switch (answer.code) {
      case "password":
        attempts[id] = (attempts[id] ?? 0) + 1;
        return complainPassword(say("password", { n: attempts[id] }));
      case "several":
        show([...answer.entries, ...entries.filter((entry) => entry.id !== id)]);
        complain("cert-list-error", say("several", { n: answer.entries.length }));
        return document.querySelector("#cert-entries input:enabled")?.focus();
      default:
        complain("cert-list-error", say(answer.code));
        return document.querySelector("#cert-entries input:checked")?.focus();
    }
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy || late) return;
    const id = chosen();
    complainPassword();
    if (complain("cert-list-error", id === undefined ? say("choose") : [])) {
      (document.querySelector("#cert-entries input:enabled") ?? at("cert-files")).focus();
      return;
    }
    if (password.value === "") return complainPassword(say("no-password"));
    busy = true;
    button.classList.add("busy");
    button.setAttribute("aria-disabled", "true");
    state.textContent = say("signing");
    await painted();
    const bytes = new TextEncoder().encode(password.value);
    let answer;
    try {
      answer = program.sign(files, id, bytes, request);
    } catch {
      answer = { code: "failed" };
    }
    bytes.fill(0);
    password.select();
    if (answer.code) refuse(id, answer);
    else finish(answer);
  });
  password.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.isComposing) form.requestSubmit(button);
  });
  at("cert-show").addEventListener("change", ({ target }) => { password.type = target.checked ? "text" : "password"; });

  // Back from the next page: this challenge is used up.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  const deadline = Date.now() + Number(timer.dataset.seconds) * 1000;
  const tick = () => {
    const left = Math.max(0, Math.round((deadline - Date.now()) / 1000));
    timer.textContent = timer.dataset.words.replace("{m}", Math.floor(left / 60)).replace("{s}", left % 60);
    if (left === 0 && !late && !busy) {
      late = true;
      at("cert-signer").hidden = true;
      at("cert-expired").hidden = false;
    }
  };
  setInterval(tick, 1000);
  at("cert-signer").hidden = false;
})();
