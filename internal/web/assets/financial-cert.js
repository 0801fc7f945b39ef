// The page of the financial certificate: has the citizen sign at the cloud signer (FinCert.Sdk, another
// script of this page), and sends what comes back by #fincert-form, which carries:
//   data-request    what to sign (authn.SignRequest), as JSON
// Words to show are in #fincert-words. What the signer says beside the signature, such as rValue, goes nowhere.
(() => {
  "use strict";
  const at = (id) => document.getElementById(id);
  const form = at("fincert-form"), button = at("fincert-start"), state = at("fincert-state"), timer = at("fincert-remaining");
  const problem = at("fincert-problem"), code = at("fincert-problem-code"), again = at("fincert-again");
  const request = JSON.parse(form.dataset.request);
  const cloud = request.Cloud;
  const patience = 10000; // milliseconds for the signer's script to come
  const deadline = Date.now() + Number(timer.dataset.seconds) * 1000;
  let busy = false, over = false, ready = false, lost = false;

  const words = (name) => at("fincert-words").content.querySelector(`[data-word="${name}"]`).textContent;
  const say = (name) => { state.textContent = name ? words(name) : ""; };
  const complain = (name, detail = "") => {
    problem.hidden = !name;
    at("fincert-problem-text").textContent = name ? words(name) : "";
    code.hidden = !detail;
    code.lastElementChild.textContent = detail;
    again.hidden = name !== "unreachable" && name !== "late"; // the others can be tried again as it is
  };

  const failures = { 800000: "cancelled", 100008: "busy", 900001: "unsupported" };
  class Failure extends Error {
    constructor(name, detail = "") {
      super(name);
      this.detail = detail;
    }
  }
  const failure = (error) => {
    const given = String(error?.code ?? "").replace(/[^0-9A-Za-z-]/g, "").slice(0, 12);
    const name = failures[given];
    return name ? new Failure(name) : new Failure("failed", given);
  };

  // sdk waits for the signer's script and introduces us to it, once.
  const sdk = async () => {
    for (const start = Date.now(); !window.FinCert?.Sdk; ) {
      if (lost || Date.now() - start > patience) throw new Failure("unreachable");
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    if (!ready) {
      await new Promise((resolve, reject) => {
        FinCert.Sdk.init({
          orgCode: cloud.OrgCode, apiKey: cloud.APIKey, lang: document.documentElement.lang === "en" ? "eng" : "kor",
          success: resolve, fail: (error) => reject(failure(error)),
        });
      });
      ready = true;
    }
    return FinCert.Sdk;
  };

  const sign = (signer, type, content) => new Promise((resolve, reject) => {
    signer.sign({
      signFormat: {
        type,
        CMSInfo: {
          ssn: "dummy", time: new Date().toISOString().replace(/\D/g, "").slice(0, 14), // 14 digits, in UTC
          withoutContent: false, includeR: false, generalSyntax: true,
        },
      },
      content,
      algorithms: "RSASSA-PKCS1-v1_5_SHA256",
      view: { oid: Object.fromEntries(request.Policies.map((policy) => [policy, true])), enableTextView: true },
      info: { signType: "01" },
      success: (result) => {
        const value = result?.signedVals?.[0];
        if (typeof value === "string" && value) resolve(value);
        else reject(new Failure("failed"));
      },
      fail: (error) => reject(failure(error)),
    });
  });
  const certificate = (signer, signedVal) => new Promise((resolve, reject) => {
    signer.getSignerCertFromSignedVal({ signedVal, success: ({ cert }) => resolve(cert), fail: (error) => reject(failure(error)) });
  });

  const identity = {
    ucpidInfo: {
      ispUrlInfo: cloud.Site, ucpidNonce: cloud.Nonce, userAgreement: request.Agreement,
      userAgreeInfo: { realName: true, gender: true, nationalInfo: true, birthDate: true, ci: true },
    },
  };

  const run = async () => {
    complain("");
    say("opening");
    const signer = await sdk();
    const field = form.elements;
    say("signing");
    if (cloud.Format === "CMS") {
      field.signed.value = await sign(signer, "CMS", identity);
    } else {
      const signed = await sign(signer, "PKCS1", { plainText: { plainTexts: [request.Content], encoding: "UTF-8" } });
      field.certificate.value = await certificate(signer, signed);
      say("second");
      field.ucpid.value = await sign(signer, "CMS", identity);
      field.signed.value = signed;
    }
    if (over) return;
    say("sent");
    form.submit();
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    if (busy || over) return;
    busy = true;
    button.setAttribute("aria-disabled", "true");
    try {
      await run();
    } catch (error) {
      if (!over) {
        say("");
        complain(error instanceof Failure ? error.message : "failed", error.detail);
      }
      busy = false;
      button.removeAttribute("aria-disabled");
      button.scrollIntoView({ block: "center" }); // the signer's window gives the focus back, and leaves the page where it is
    }
  });

  const tick = () => {
    const left = Math.max(0, Math.round((deadline - Date.now()) / 1000));
    timer.textContent = timer.dataset.words.replace("{m}", String(Math.floor(left / 60))).replace("{s}", String(left % 60));
    if (left > 0 || over) return;
    over = true;
    window.FinCert?.Sdk.abort?.();
    say("");
    complain("late");
    form.hidden = true;
  };

  at("fincert-sdk").addEventListener("error", () => { lost = true; });

  // Back from the next page: this challenge has been answered.
  addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

  at("fincert-signer").hidden = false;
  setInterval(tick, 1000);
})();
