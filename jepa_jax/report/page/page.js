// Making elements, numbers as text, and copying. Text never becomes markup here.

function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  return fill(element, attributes, children);
}

function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const byId = (id) => document.getElementById(id);
const count = (n) => n.toLocaleString("en-US");
const images = (n) => `${count(n)} ${n === 1 ? "image" : "images"}`;
const shown = (x) => (Number.isNaN(x) ? "" : Math.abs(x) >= 100 ? x.toFixed(1) : x.toFixed(2));
const signed = (x) => (Number.isNaN(x) ? "" : `${x < 0 ? "" : "+"}${x.toFixed(2)}`);
// A fact: whole numbers from 1,000 on, three digits below.
const figures = (x) => (Number.isNaN(x) ? "" : Math.abs(x) >= 1000 ? count(Math.round(x)) : String(Number(x.toPrecision(3))));
const compact = (x) => (x >= 1e6 ? `${Number((x / 1e6).toPrecision(2))} M` : x >= 1e4 ? `${Math.round(x / 1e3)} k` : String(Number(x.toPrecision(2))));

function scoreText(row) {
  if (!isScored(row)) return columns.status.at(row);
  const error = numberOf("std_error", row);
  return shown(scoreOf(row)) + (error > 0 ? ` ± ${shown(error)}` : "");
}

function percentile(row) {
  const share = (100 * ranks[row]) / Math.max(1, scoredRows - 1);
  return share < 1 || share > 99 ? share.toFixed(2) : share.toFixed(1);
}

async function copy(text, button) {
  const before = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // A page opened from a file may have no clipboard: the old way.
    const area = el("textarea", { "aria-hidden": "true" });
    area.value = text;
    (button.closest("dialog") || document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = "Copied";
  setTimeout(() => (button.textContent = before), 1500);
}

function addCopyButtons() {
  for (const code of document.querySelectorAll(".command code")) {
    const button = el("button", { type: "button", "aria-label": "Copy the command" }, "Copy");
    button.addEventListener("click", () => copy(code.textContent, button));
    code.after(button);
  }
}

// As a POSIX shell reads it back.
const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'"'"'`)}'`);

function tellTrouble(error) {
  const place = byId("trouble");
  place.textContent = "DecompressionStream" in window
    ? `This page could not be set up: ${error}`
    : "This page needs a newer browser: one of 2023 or later (DecompressionStream).";
  place.hidden = false;
  console.error(error);
}
