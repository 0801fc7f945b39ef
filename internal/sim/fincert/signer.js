// The part of the signer's pages that talks to the script in the relying party's page. What is signed, by
// whom, and for which origin, is decided on the server.
(() => {
  "use strict";
  const say = (message, origin) => { if (parent !== window) parent.postMessage(message, origin); };
  const outcome = (error, origin) => say({ fincert: "outcome", outcome: { error } }, origin);

  const connecting = document.getElementById("fincert-connecting");
  if (connecting) {
    let taken = false;
    addEventListener("message", async (event) => {
      if (taken || event.source !== parent || event.data?.fincert !== "request") return;
      taken = true;
      const { orgCode, apiKey, request } = event.data;
      try {
        const response = await fetch("/v1/requests", {
          method: "POST", headers: { "Content-Type": "application/json" },
          body: JSON.stringify({ origin: event.origin, orgCode, apiKey, request }),
        });
        const answer = await response.json();
        if (answer.error) outcome(answer.error, event.origin);
        else location.replace("/v1/requests/" + answer.id);
      } catch {
        outcome({ code: "100009", message: "서버에 연결할 수 없습니다.", cause: "" }, event.origin);
      }
    });
    say({ fincert: "ready" }, "*"); // to whoever has opened the frame: it says nothing
  }

  const done = document.getElementById("fincert-done");
  if (done) {
    // Without an origin the request was unknown, and the outcome is an error that says so.
    say({ fincert: "outcome", outcome: JSON.parse(done.dataset.outcome) }, done.dataset.origin || "*");
  }

  document.getElementById("fincert-pin")?.focus();
})();
