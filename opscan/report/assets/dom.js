"use strict";

/* Elements from plain values. Whatever comes from a report goes in as text or as the value of a harmless attribute. */

const SVG = "http://www.w3.org/2000/svg";

function filled(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  for (const child of children.flat(Infinity)) if (child !== null && child !== undefined && child !== false) node.append(child);
  return node;
}

const el = (tag, attributes = {}, ...children) => filled(document.createElement(tag), attributes, children);
const drawn = (tag, attributes = {}, ...children) => filled(document.createElementNS(SVG, tag), attributes, children);
const byId = (id) => document.getElementById(id);
const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;
const shortened = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}\u2026` : text);

const VERDICTS = ["raises", "switches", "silent", "uninitialized", "config", "random", "unknown"];
const VARYING = new Set(["raises", "switches", "silent", "uninitialized"]);

const badge = (verdict) => el("span", { class: `badge ${verdict}` }, verdict);

async function copied(text, button) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = el("textarea", {}, text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = "Copy"), 1400);
}

/* Code with a button that copies it. */
function copyable(code) {
  const button = el("button", { type: "button", "aria-label": "Copy this code" }, "Copy");
  button.addEventListener("click", () => copied(code, button));
  return el("div", { class: "copied" }, el("pre", { tabindex: "0" }, el("code", {}, code)), button);
}
