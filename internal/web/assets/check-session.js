// Tells a site's frame whether the session in this browser is still the one that the site knows: OpenID Connect
// Session Management 1.0 §3.2. The message is the client id and the session_state of an authentication response.
(() => {
  "use strict";
  const cookie = document.currentScript.dataset.cookie + "=";
  const browserState = () => document.cookie.split("; ").find((c) => c.startsWith(cookie))?.slice(cookie.length) ?? "";
  const hash = async (text) => {
    const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
    const base64 = btoa(String.fromCharCode(...new Uint8Array(digest)));
    return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
  };
  const compare = async (message, origin) => {
    const parts = /^([^ ]+) ([^ .]+)\.([^ .]+)$/.exec(message);
    if (!parts) {
      return "error";
    }
    const [, client, known, salt] = parts;
    return (await hash([client, origin, browserState(), salt].join(" "))) === known ? "unchanged" : "changed";
  };
  addEventListener("message", async ({ data, origin, source }) => {
    // Without an origin of its own nobody is a site.
    if (typeof data === "string" && source && /^https?:/.test(origin)) {
      source.postMessage(await compare(data, origin), origin);
    }
  });
})();
