// Looks again and again, and takes over what has changed. The page works without it.
"use strict";

const main = document.getElementById("main");
const connection = document.getElementById("connection");

// take makes an element what the fresh one is and keeps its nodes, so that the focus, a
// selection, an open detail and a click that has begun stay where they are.
function take(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) {
    old.nodeValue = fresh.nodeValue;
    return;
  }
  for (const { name, value } of fresh.attributes) {
    if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  }
  const children = [...fresh.childNodes];
  children.forEach((child, i) => {
    const now = old.childNodes[i];
    if (!now) old.append(document.importNode(child, true));
    else if (now.nodeName !== child.nodeName) now.replaceWith(document.importNode(child, true));
    else take(now, child);
  });
  while (old.childNodes.length > children.length) old.lastChild.remove();
}

let poll = main.dataset.poll; // milliseconds until the next look
let shown; // the page as it was last answered

async function look() {
  if (document.hidden) return;
  try {
    const reply = await fetch(location.href, { credentials: "same-origin" });
    if (!reply.ok) throw new Error(reply.statusText);
    const text = await reply.text();
    connection.textContent = "";
    if (text === shown) return;
    shown = text;
    const fresh = new DOMParser().parseFromString(text, "text/html");
    for (const old of document.querySelectorAll("[data-live]")) {
      const now = fresh.getElementById(old.id);
      if (now) take(old, now);
    }
    document.title = fresh.title;
    poll = fresh.getElementById("main").dataset.poll;
  } catch {
    connection.textContent = "The desk does not answer. What is shown may be old.";
  }
}

function again() {
  if (Number(poll) > 0) setTimeout(() => look().then(again), Number(poll));
}

again();

// What is wider than the screen begins in its middle, where the workflow does.
const graph = document.getElementById("graph");
if (graph) graph.scrollLeft = (graph.scrollWidth - graph.clientWidth) / 2;

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
