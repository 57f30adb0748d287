// Looks again every few seconds and takes over what has changed. The page works without it.
"use strict";

const main = document.getElementById("main");
const connection = document.getElementById("connection");

// take puts the new content of an element in its place, and leaves alone what is the same:
// a person may have the focus, a selection or an open detail there.
function take(old, fresh) {
  if (old.innerHTML === fresh.innerHTML) return;
  if (old.dataset.append !== undefined) {
    for (const row of fresh.querySelectorAll(":scope > [id]")) {
      if (!document.getElementById(row.id)) old.append(document.importNode(row, true));
    }
    return;
  }
  const before = old.querySelectorAll("svg g[id], svg a");
  const after = fresh.querySelectorAll("svg g[id], svg a");
  if (before.length > 0 && before.length === after.length) {
    before.forEach((group, i) => {
      for (const name of ["class", "aria-label"]) {
        const value = after[i].getAttribute(name);
        if (value !== null && value !== group.getAttribute(name)) group.setAttribute(name, value);
      }
    });
    return;
  }
  const focus = old.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  old.replaceChildren(...document.importNode(fresh, true).childNodes);
  if (focus !== null) old.querySelector(`[href="${CSS.escape(focus)}"]`)?.focus();
}

async function look() {
  if (document.hidden) return main.dataset.poll;
  try {
    const reply = await fetch(location.href, { credentials: "same-origin" });
    if (!reply.ok) throw new Error(reply.statusText);
    const fresh = new DOMParser().parseFromString(await reply.text(), "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (now) take(old, now);
    }
    connection.textContent = "";
    return fresh.getElementById("main").dataset.poll;
  } catch {
    connection.textContent = "The desk does not answer. What is shown may be old.";
    return main.dataset.poll;
  }
}

function again(seconds) {
  if (Number(seconds) > 0) setTimeout(async () => again(await look()), Number(seconds) * 1000);
}

again(main.dataset.poll);

// A state that is selected in the picture is marked there.
function mark() {
  for (const link of document.querySelectorAll(".graph a")) {
    link.toggleAttribute("aria-current", link.getAttribute("href") === location.hash);
  }
}

addEventListener("hashchange", () => {
  mark();
  document.getElementById(location.hash.slice(1))?.focus({ preventScroll: innerWidth > 800 });
});
mark();
