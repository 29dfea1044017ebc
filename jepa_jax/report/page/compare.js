// Two runs: the images that moved most, ranks against ranks, and all images.

const LINES = 100;
const blankFilter = { show: "all", text: "", sort: "change" };

const first = (row) => scoreOf(row);
const second = (row) => numberOf("other", row);
const changeOf = (row) => numberOf("change", row);
const percent = (x) => (Number.isNaN(x) ? "" : `${x.toFixed(1)} %`);
const points = (x) => (Number.isNaN(x) ? "" : `${x < 0 ? "" : "+"}${x.toFixed(1)}`);

const shows = {
  all: ["all images", () => true],
  both: ["with a score in both", (row) => !Number.isNaN(changeOf(row))],
  fell: ["less typical in B", (row) => changeOf(row) < 0],
  rose: ["more typical in B", (row) => changeOf(row) > 0],
  first: ["in A alone", (row) => columns.there.data[row] === 1],
  second: ["in B alone", (row) => columns.there.data[row] === 2],
  "first-scored": ["in both, with a score in A alone", (row) => !columns.there.data[row] && !Number.isNaN(first(row)) && Number.isNaN(second(row))],
  "second-scored": ["in both, with a score in B alone", (row) => !columns.there.data[row] && Number.isNaN(first(row)) && !Number.isNaN(second(row))],
};

const rankText = (row) => `${percent(numberOf("first_rank", row))} in A, ${percent(numberOf("second_rank", row))} in B`;

// Of an image whose file is another one in B there are two pictures: that of B comes after all of A.
function pair(row) {
  const pictures = [row, total + row].filter(hasPicture).map((at) => picture(at));
  return el("span", { class: pictures.length > 1 ? "frame two" : "frame" }, ...(pictures.length ? pictures : [el("span", { class: "why" }, "no picture here")]));
}

function moveCard(row) {
  return el("li", {}, el("button", { type: "button", class: "card", onclick: () => openDetail(row) }, pair(row), el("span", { class: "text" },
    el("span", { class: "value" }, `${points(changeOf(row))} points`),
    el("span", { class: "move" }, `${percent(numberOf("first_rank", row))} → ${percent(numberOf("second_rank", row))}`),
    el("span", { class: "file", title: nameOf(row) }, el("bdi", {}, nameOf(row))))));
}

// From a card or a point: its line in the table.
function openDetail(row) {
  explore({ text: nameOf(row) });
}

function writeFilter() {
  for (const key of ["show", "text", "sort"]) byId(`f-${key}`).value = filter[key];
}

function readFilter() {
  for (const key of ["show", "text", "sort"]) filter[key] = byId(`f-${key}`).value;
  refresh();
}

function tableColumns() {
  const number = (title, text, value, order, from = "") => [title, "n", (row) => text(value(row)), order, from];
  const status = (row) => [columns.first_status.at(row), columns.second_status.at(row)];
  return [
    ["Picture", "pic", (row) => (hasPicture(row) || hasPicture(total + row) ? picture(hasPicture(row) ? row : total + row) : null)],
    ["Name", "name", nameOf, "id", ""],
    number("Score in A", shown, first, "first"), number("Score in B", shown, second, "second"),
    number("Rank in A", percent, (row) => numberOf("first_rank", row), "first_rank"), number("Rank in B", percent, (row) => numberOf("second_rank", row), "second_rank"),
    number("Change", points, changeOf, "change"),
    columns.label.values.length > 1 && ["Class", "name", (row) => columns.label.at(row), "label", ""],
    ["Status", "", (row) => { const [a, b] = status(row); return a === b ? a : `A: ${a}; B: ${b}`; }],
  ].filter(Boolean);
}

function refresh() {
  const part = filter.text.toLowerCase(), test = shows[filter.show][1];
  const rows = [];
  for (let row = 0; row < total; row++) if (test(row) && nameOf(row).toLowerCase().includes(part)) rows.push(row);
  found = sorted(rows, filter.sort);
  byId("count").textContent = `${images(found.length)} of ${count(total)}`;
  showPage();
}

const pageSize = () => LINES;
const resultsOf = tableOf;

function exported() {
  return {
    id: nameOf, status_a: (row) => columns.first_status.at(row), status_b: (row) => columns.second_status.at(row), score_a: first, score_b: second,
    rank_a: (row) => numberOf("first_rank", row), rank_b: (row) => numberOf("second_rank", row), change: changeOf, class: (row) => columns.label.at(row),
  };
}

async function start() {
  await loadRows();
  for (const key of ["fell", "rose"]) if (byId(`strip-${key}`)) byId(`strip-${key}`).replaceChildren(...facts[key].map(moveCard));
  if (byId("scatter")) {
    const rank = (name) => (row) => numberOf(name, row);
    const label = "Rank in B against rank in A; the table below has its numbers";
    drawScatter(byId("scatter"), facts.relation, label, rank("first_rank"), rank("second_rank"), rankText);
  }
  const numeric = ["lowest first", "highest first"];
  Object.assign(orders, {
    change: ["change", ["less typical in B first", "more typical in B first"], changeOf],
    size: ["size of the change", numeric, (row) => Math.abs(changeOf(row))],
    first: ["score in A", numeric, first], second: ["score in B", numeric, second],
    first_rank: ["rank in A", numeric, (row) => numberOf("first_rank", row)], second_rank: ["rank in B", numeric, (row) => numberOf("second_rank", row)],
    id: ["name", ["A to Z", "Z to A"], nameOf],
    label: ["class", ["A to Z", "Z to A"], (row) => columns.label.at(row)],
    order: ["order of the source", ["first to last", "last to first"], (row) => row],
  });
  offerOrders();
  for (const [key, [title]] of Object.entries(shows)) byId("f-show").append(el("option", { value: key }, title));
  listenToFilters("compared");
  byId("filters").hidden = false;
  setFilter({ ...blankFilter });
  document.documentElement.dataset.ready = "yes";
}

start().catch(tellTrouble);
