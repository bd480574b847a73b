/**
 * All that the page can do beyond what it can do without a script: keep itself up to date, rotate without leaving the place
 * that one has scrolled to, and, where there is no Entra sign-in, send the function key as a header.
 */
export const script = `"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const main = () => document.querySelector("main");
  const say = (text) => { byId("said").textContent = text; };
  const storedKey = "function-key";
  const wantsKey = byId("sign-in") !== null;
  const address = location.pathname.replace(/\\/$/, "") + (wantsKey ? "/page" : "");
  let key = "";
  let rotating = false;
  let underWay = new AbortController();
  let timer;

  async function load(init) {
    underWay.abort();
    underWay = new AbortController();
    clearTimeout(timer);
    try {
      const headers = key === "" ? {} : { "x-functions-key": key };
      const response = await fetch(address, { cache: "no-store", headers, signal: underWay.signal, ...init });
      const next = new DOMParser().parseFromString(await response.text(), "text/html");
      if (next.querySelector("main") === null) {
        throw new Error(response.status === 401 ? "The key was refused." : "The app answered with " + response.status + ".");
      }
      show(next);
    } finally {
      schedule();
    }
  }

  function show(next) {
    if (asking()) {
      return;
    }
    const focused = document.activeElement === null ? "" : document.activeElement.id;
    main().replaceWith(document.adoptNode(next.querySelector("main")));
    document.title = next.title;
    if (focused !== "" && byId(focused) !== null) {
      byId(focused).focus({ preventScroll: true });
    }
  }

  // Somebody is reading a question: it must not be taken away.
  function asking() {
    return document.querySelector(":popover-open") !== null;
  }

  function schedule() {
    clearTimeout(timer);
    const seconds = Number(main().dataset.refresh);
    if (seconds > 0) {
      timer = setTimeout(refresh, seconds * 1000);
    }
  }

  function refresh() {
    if (main().dataset.refresh === undefined) {
      return;
    }
    if (rotating || document.hidden || asking()) {
      schedule();
      return;
    }
    load().then(() => say(""), (error) => {
      if (error.name !== "AbortError") {
        say("Not up to date: " + reason(error) + " It is tried again.");
      }
    });
  }

  function reason(error) {
    return error instanceof TypeError ? "the app cannot be reached, or the sign-in has ended." : error.message;
  }

  async function signIn(candidate) {
    key = candidate;
    try {
      await load();
      sessionStorage.setItem(storedKey, key);
    } catch (error) {
      key = "";
      sessionStorage.removeItem(storedKey);
      byId("refused").textContent = reason(error);
      byId("key").setAttribute("aria-invalid", "true");
      byId("key").focus();
    }
  }

  async function rotate(form, button) {
    rotating = true;
    const body = new URLSearchParams(new FormData(form));
    body.set(button.name, button.value);
    button.closest("[popover]").hidePopover();
    const opener = byId("ask-" + button.value);
    opener.setAttribute("aria-disabled", "true");
    opener.textContent = "Rotating …";
    say("Rotating " + button.value + ".");
    try {
      await load({ method: "POST", body });
      say("");
      byId("outcome").focus();
    } catch (error) {
      say("It is not known what became of it: " + reason(error));
    } finally {
      rotating = false;
    }
  }

  document.addEventListener("submit", (event) => {
    event.preventDefault();
    if (event.target.id === "sign-in") {
      signIn(byId("key").value.trim());
    } else if (!rotating) {
      rotate(event.target, event.submitter);
    }
  });
  document.addEventListener("visibilitychange", refresh);

  if (wantsKey) {
    const given = location.hash.slice(1);
    history.replaceState(null, "", location.pathname);
    const known = given || sessionStorage.getItem(storedKey);
    if (known) {
      signIn(known);
    }
  } else {
    schedule();
  }
})();
`;
