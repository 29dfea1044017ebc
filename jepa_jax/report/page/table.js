// What is known of every row as columns: in which orders rows can be, the table, and who shows what.

// Each order: its title, its two directions in words, and its key by row; a key may be a text.
const orders = {};
// Columns of the table that are hidden.
const hiddenColumns = new Set();

function listOrders() {
  const numeric = ["lowest first", "highest first"], texts = ["A to Z", "Z to A"];
  orders.score = ["score", numeric, scoreOf];
  orders.id = ["name", texts, nameOf];
  if (columns.label.values.length > 1) orders.label = ["class", texts, (row) => columns.label.at(row)];
  if (has("std_error") && columns.std_error.data.some((e) => e > 0)) {
    orders.std_error = ["standard error", numeric, (row) => numberOf("std_error", row)];
  }
  if (has("conditional")) orders.conditional = ["conditional score", numeric, (row) => numberOf("conditional", row)];
  for (const { name, title } of facts.known) orders[name] = [title.toLowerCase(), numeric, (row) => factOf(name, row)];
  if (columns.group.data.some((g) => g >= 0)) {
    orders.group = ["near-identical group", ["largest first", "smallest first"], (row) => (groupOf(row) < 0 ? NaN : groupOf(row))];
  }
  orders.order = ["order of the source", ["first to last", "last to first"], (row) => row];
  orders.random = ["random", [""], (row) => Math.imul(row + 1, 2654435761) >>> 0];
  offerOrders();
}

function offerOrders() {
  for (const [key, [title, [forwards, backwards]]] of Object.entries(orders)) {
    byId("f-sort").append(el("option", { value: key }, forwards ? `${title}, ${forwards}` : title));
    if (backwards) byId("f-sort").append(el("option", { value: `-${key}` }, `${title}, ${backwards}`));
  }
}

// `rows` in the order `sort`, "-" before it for the other direction; rows without a key come last.
function sorted(rows, sort) {
  const descends = sort.startsWith("-"), key = orders[descends ? sort.slice(1) : sort][2];
  if (rows.length && typeof key(rows[0]) === "string") {
    const texts = new Map(rows.map((row) => [row, key(row)])), sign = descends ? -1 : 1;
    return rows.sort((a, b) => (texts.get(a) < texts.get(b) ? -sign : texts.get(a) > texts.get(b) ? sign : a - b));
  }
  const keys = new Float64Array(total);
  for (const row of rows) {
    const value = key(row);
    keys[row] = Number.isNaN(value) ? Infinity : descends ? -value : value;
  }
  return rows.sort((a, b) => (keys[a] === keys[b] ? a - b : keys[a] - keys[b]));
}

// The columns of the table: title, class, content of a cell, order, and the direction of a first click.
function tableColumns() {
  const number = (title, value, order, first = "") => [title, "n", (row) => value(row), order, first];
  const size = (row) => (numberOf("width", row) > 0 ? `${numberOf("width", row)} × ${numberOf("height", row)}` : "");
  return [
    ["Picture", "pic", (row) => (hasPicture(row) ? picture(row) : null)],
    ["Name", "name", (row) => el("button", { type: "button", class: "link", onclick: () => openDetail(row, found) }, nameOf(row)), "id", ""],
    number("Score", (row) => (isScored(row) ? shown(scoreOf(row)) : "–"), "score"),
    orders.std_error && number("± error", (row) => shown(numberOf("std_error", row)), "std_error", "-"),
    orders.conditional && number("Conditional", (row) => signed(numberOf("conditional", row)), "conditional"),
    orders.label && ["Class", "name", (row) => columns.label.at(row), "label", ""],
    ...facts.known.map(({ name, title }) => number(title, name === "pixels" ? size : (row) => figures(factOf(name, row)), name)),
    columns.method.values.length > 1 && ["Method", "", (row) => columns.method.at(row)],
    ["Status", "name", (row) => (isFlagged(row) ? "flagged" : columns.error.at(row) || columns.status.at(row))],
  ].filter(Boolean);
}

// `all` are columns; `sort` is the order now, `onSort` is told of another one.
function asTable(rows, all, sort, onSort) {
  const heads = all.filter(([title]) => !hiddenColumns.has(title));
  const head = el("tr");
  for (const [title, kind, , order, first] of heads) {
    const at = { [order]: "ascending", [`-${order}`]: "descending" }[sort];
    const next = at ? (at === "ascending" ? `-${order}` : order) : first + order;
    const mark = at ? (at === "descending" ? " ▼" : " ▲") : "";
    head.append(el("th", { scope: "col", class: kind === "n" ? "n" : null, "aria-sort": order && at },
      order ? el("button", { type: "button", "data-sort": next, onclick: () => onSort(next) }, title + mark) : title));
  }
  const cell = (row, [title, kind, content]) => el(title === "Name" ? "th" : "td", { scope: title === "Name" ? "row" : null, class: kind || null }, content(row));
  return el("table", {}, el("caption", { class: "hint" }, "Images of this page"), el("thead", {}, head),
    el("tbody", {}, ...rows.map((row) => el("tr", {}, ...heads.map((head) => cell(row, head))))));
}

// Which columns the table has: boxes to tick.
function listColumns() {
  for (const [title] of tableColumns()) {
    if (title === "Name") continue;
    const box = el("input", { type: "checkbox", checked: true });
    box.addEventListener("change", () => {
      box.checked ? hiddenColumns.delete(title) : hiddenColumns.add(title);
      showPage(pageShown);
    });
    byId("columns").append(el("label", {}, box, ` ${title}`));
  }
}

// The header was made anew: the focus goes back to it.
function focusOnOrder() {
  for (const button of byId("results").querySelectorAll("th button")) {
    if (button.closest("th").hasAttribute("aria-sort")) button.focus();
  }
}
