// All rows: filtered, sorted, a page at a time, as a gallery or a table.

const PAGE = { gallery: 60, table: 100 };
const blankFilter = { show: "all", label: null, low: null, high: null, text: "", sort: "score", picture: false };
let view = "gallery";

const shows = {
  all: ["all images", () => true],
  scored: ["with a score", isScored],
  failed: ["without a score", (row) => !isScored(row)],
  flagged: ["flagged", isFlagged],
  "near-identical": ["near-identical", (row) => groupOf(row) >= 0],
};

function listFilters() {
  const anyFlag = columns.flagged.data.some((f) => f > 0), anyGroup = columns.group.data.some((g) => g >= 0);
  const possible = { ...(scoredRows === total ? { failed: 0 } : {}), ...(anyFlag ? {} : { flagged: 0 }), ...(anyGroup ? {} : { "near-identical": 0 }) };
  for (const [key, [title]] of Object.entries(shows)) if (!(key in possible)) byId("f-show").append(el("option", { value: key }, title));
  const labels = columns.label;
  byId("field-label").hidden = labels.values.length < 2;
  const sizes = new Uint32Array(labels.values.length);
  for (const code of labels.codes) sizes[code]++;
  // The value is the label's number: a label may be empty, as "all" is.
  byId("f-label").append(el("option", { value: "" }, "all classes"),
    ...labels.values.map((label, i) => el("option", { value: i }, `${label || "(no class)"} (${count(sizes[i])})`)));
  listOrders();
  listColumns();
}

function matching() {
  const { show, label, low, high, text, picture: only } = filter;
  const test = shows[show][1], code = label === null ? -1 : columns.label.values.indexOf(label), part = text.toLowerCase();
  const rows = [];
  for (let row = 0; row < total; row++) {
    const score = scoreOf(row);
    // Negated, so that a row without a score is in no range.
    if ((low !== null && !(score >= low)) || (high !== null && !(score <= high))) continue;
    if ((code >= 0 && columns.label.codes[row] !== code) || !test(row) || (only && !hasPicture(row))) continue;
    if (part && !nameOf(row).toLowerCase().includes(part)) continue;
    rows.push(row);
  }
  return rows;
}

// The words of `jepa-jax select` for the filter; null where none selects just that.
function commandFor({ show, label, low, high, text, picture: only }) {
  const range = low !== null || high !== null;
  if (only || show === "near-identical" || (show === "flagged" && range)) return null;
  const parts = [...facts.command];
  if (show === "failed") {
    if (range) return null;
    parts.push("--failed");
  } else if (show === "flagged") parts.push("--flagged");
  else {
    parts.push("--between", low === null ? "-inf" : String(low), high === null ? "inf" : String(high));
    if (show === "all" && !range && scoredRows < total) parts.push("--failed");
  }
  if (label !== null) parts.push("--class", label);
  if (text) parts.push("--match", text);
  return parts;
}

function refresh() {
  found = sorted(matching(), filter.sort);
  const command = commandFor(filter);
  byId("act").hidden = !found.length;
  const every = found.length === total;
  byId("command").replaceChildren(...(command || []).flatMap((word) => [" ", el("span", {}, quoted(word))]).slice(1));
  byId("command").parentElement.hidden = every || command === null;
  byId("no-command").hidden = !every && command !== null;
  byId("no-command").textContent = every
    ? "Filter, and the command that selects just what you see is here."
    : "No single command selects exactly these; download the list.";
  const pictures = found.reduce((n, row) => n + hasPicture(row), 0);
  const without = found.length - pictures;
  byId("count").textContent = `${images(found.length)} of ${count(total)}` + (found.length && without ? `, ${count(pictures)} of them with a picture here` : "");
  showPage();
}

const pageSize = () => PAGE[view];

function resultsOf(rows) {
  if (view === "table") return tableOf(rows);
  const list = el("ul", { class: "cards", "aria-label": "Images" });
  showCards(list, rows, found, filter.sort.replace(/^-/, ""));
  return list;
}

function writeFilter() {
  byId("f-show").value = filter.show;
  byId("f-label").value = filter.label === null ? "" : columns.label.values.indexOf(filter.label);
  byId("f-low").value = filter.low === null ? "" : filter.low;
  byId("f-high").value = filter.high === null ? "" : filter.high;
  byId("f-text").value = filter.text;
  byId("f-sort").value = filter.sort;
  byId("f-picture").checked = filter.picture;
}

function readFilter() {
  const number = (id) => (byId(id).value === "" ? null : Number(byId(id).value));
  const label = byId("f-label").value;
  filter = {
    show: byId("f-show").value, label: label === "" ? null : columns.label.values[Number(label)],
    low: number("f-low"), high: number("f-high"), text: byId("f-text").value, sort: byId("f-sort").value, picture: byId("f-picture").checked,
  };
  refresh();
}

// What is known of a row, by the names of the scores' own columns where they have it.
function exported() {
  const cells = { id: nameOf, source: pathOf, status: (row) => columns.status.at(row), score: scoreOf };
  for (const [name, as] of [["std_error", "std_error"], ["conditional", "conditional_score"]]) if (has(name)) cells[as] = (row) => numberOf(name, row);
  cells.class = (row) => columns.label.at(row);
  cells.near_identical = (row) => (groupOf(row) < 0 ? NaN : groupOf(row) + 1);
  if (has("relation")) cells.relation = (row) => columns.relation.at(row);
  for (const name of ["width", "height"]) if (has(name)) cells[name] = (row) => numberOf(name, row);
  for (const { name } of facts.known) if (name !== "pixels") cells[name] = (row) => factOf(name, row);
  return cells;
}

function listenToViews() {
  for (const choice of document.querySelectorAll("[name=view]")) {
    choice.addEventListener("change", () => {
      view = choice.value;
      byId("field-columns").hidden = view !== "table";
      showPage();
    });
  }
}
