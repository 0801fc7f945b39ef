// FinCert.Sdk as far as a relying party's page calls it for signatures. The signer is a page of this
// script's own origin, in a frame over the relying party's page; the two talk by postMessage, each to the
// other's origin only.
(() => {
  "use strict";
  const home = new URL(document.currentScript.src).origin;
  const certificates = new Map(); // signedVal → the signer's certificate
  let settings = null;
  let open = null; // { dialog, frame, request, success, fail }

  const failure = (code, message, cause = "") => ({ code, message, cause });

  // Whatever the page looks like, the signer looks the same: nothing is inherited, no stylesheet is asked for.
  const set = (element, style) => { for (const name in style) element.style[name] = style[name]; };

  const close = () => {
    const done = open;
    open = null;
    if (done) {
      done.dialog.close();
      done.dialog.remove();
    }
    return done;
  };

  const finish = ({ result, error }) => {
    const done = close();
    if (!done) return;
    if (!result) return done.fail(failure(error.code, error.message, error.cause));
    result.signedVals.forEach((value) => certificates.set(value, result.certificate));
    done.success({ signedVals: result.signedVals, certSeqNum: result.certSeqNum, rValue: result.rValue });
  };

  const show = () => {
    const dialog = document.createElement("dialog");
    const frame = document.createElement("iframe");
    frame.title = settings.lang === "eng" ? "Financial certificate" : "금융인증서";
    frame.src = home + "/v1/signer";
    set(dialog, {
      position: "fixed", inset: "0", margin: "auto", padding: "0", border: "0", overflow: "hidden", background: "#fff", maxWidth: "none",
      maxHeight: "none", boxShadow: "0 0 0 200vmax rgb(0 0 0 / 45%)",
    });
    const narrow = matchMedia("(max-width: 599px)");
    const fit = () => set(dialog, narrow.matches
      ? { width: "100%", height: "100%", borderRadius: "0" } : { width: "440px", height: "min(700px, 100%)", borderRadius: "16px" });
    narrow.addEventListener("change", fit);
    fit();
    set(frame, { display: "block", width: "100%", height: "100%", border: "0", colorScheme: "light" });
    dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      finish({ error: failure("800000", "사용자가 취소하였습니다.") });
    });
    dialog.append(frame);
    document.body.append(dialog);
    dialog.showModal();
    frame.focus();
    return { dialog, frame };
  };

  addEventListener("message", (event) => {
    if (!open || event.origin !== home || event.source !== open.frame.contentWindow || typeof event.data !== "object") return;
    switch (event.data.fincert) {
      case "ready":
        open.frame.contentWindow.postMessage({ fincert: "request", orgCode: settings.orgCode, apiKey: settings.apiKey, request: open.request }, home);
        break;
      case "outcome":
        finish(event.data.outcome);
        break;
    }
  });

  const Sdk = {
    init({ orgCode, apiKey, lang = "kor", success, fail }) {
      if (!orgCode || !apiKey) {
        fail?.(failure("100001", "orgCode, apiKey"));
        return;
      }
      settings = { orgCode, apiKey, lang };
      success?.();
    },
    sign({ success, fail, ...request }) {
      if (!settings) return fail(failure("100001", "init"));
      if (open) return fail(failure("100008", "다른 작업이 진행 중입니다."));
      if (!("HTMLDialogElement" in window)) return fail(failure("900001", "지원하지 않는 브라우저입니다."));
      open = { ...show(), request, success, fail };
    },
    getSignerCertFromSignedVal({ signedVal, success, fail }) {
      const cert = certificates.get(signedVal);
      if (cert) success({ cert });
      else fail(failure("100001", "signedVal"));
    },
    convertBase64UrlToBase64(text) {
      const plain = text.replaceAll("-", "+").replaceAll("_", "/");
      return plain + "=".repeat((4 - plain.length % 4) % 4);
    },
    abort() {
      close();
    },
  };
  window.FinCert = Object.freeze({ Sdk: Object.freeze(Sdk) });
})();
