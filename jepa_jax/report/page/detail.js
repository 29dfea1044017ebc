// One image with all that is known of it.

let detailRow = -1;
let detailList = [];

function openDetail(row, list) {
  detailRow = row;
  detailList = list;
  fillDetail();
  const dialog = byId("detail");
  if (!dialog.open) dialog.showModal();
}

function step(by) {
  const next = detailList[detailList.indexOf(detailRow) + by];
  if (next === undefined) return;
  const forwards = by > 0;
  detailRow = next;
  fillDetail();
  const buttons = byId("detail").querySelectorAll(".bar-top button");
  const wanted = buttons[forwards ? 1 : 0];
  (wanted.disabled ? buttons[forwards ? 0 : 1] : wanted).focus();
}

function details(row) {
  const lines = [["Score", isScored(row) ? `${scoreText(row)} nats` : "none"]];
  if (isScored(row)) lines.push(["Rank", `${count(ranks[row] + 1)} of ${count(scoredRows)} from the lowest; ${percentile(row)} % score lower`]);
  if (!Number.isNaN(numberOf("conditional", row))) lines.push(["Conditional score", `${signed(numberOf("conditional", row))} standard deviations from images like it`]);
  lines.push(["Status", columns.status.at(row)]);
  if (columns.error.at(row)) lines.push(["Error", columns.error.at(row)]);
  if (columns.label.values.length > 1) lines.push(["Class", columns.label.at(row) || "(no class)"]);
  const [width, height] = [numberOf("width", row), numberOf("height", row)];
  if (width > 0) lines.push(["Size", `${width} × ${height} pixels`]);
  for (const { name, title, unit } of facts.known) {
    if (name !== "pixels" && !Number.isNaN(factOf(name, row))) lines.push([title, `${figures(factOf(name, row))} (${unit})`]);
  }
  if (hasMap(row)) lines.push(["Volume", mapWords(row)]);
  lines.push(["Method", columns.method.at(row)]);
  const rank = numberOf("rank", row);
  if (!Number.isNaN(rank)) lines.push(["Singular values", count(rank)]);
  const sketched = numberOf("sketch_score", row);
  if (!Number.isNaN(sketched)) lines.push(["Predicted before", shown(sketched)]);
  if (isFlagged(row)) lines.push(["Flagged", "unlike the images of the calibration"]);
  if (groupOf(row) >= 0) lines.push(["Near-identical", groupText(row)]);
  lines.push(["Source", pathOf(row)]);
  return lines;
}

function fillDetail() {
  const row = detailRow, at = detailList.indexOf(row);
  const copyName = el("button", { type: "button" }, "Copy the name");
  copyName.addEventListener("click", () => copy(nameOf(row), copyName));
  const bar = el("div", { class: "bar-top" },
    el("button", { type: "button", disabled: at <= 0, onclick: () => step(-1) }, "← Previous"),
    el("button", { type: "button", disabled: at < 0 || at >= detailList.length - 1, onclick: () => step(1) }, "Next →"),
    copyName,
    el("button", { type: "button", class: "close", onclick: () => byId("detail").close() }, "Close"));
  const list = el("dl");
  for (const [name, value] of details(row)) list.append(el("dt", {}, name), el("dd", {}, value));
  const body = el("div", { class: "body" }, el("h2", { id: "detail-name" }, nameOf(row)), frame(row, `Picture of ${nameOf(row)}`), list);
  if (hasMap(row)) body.append(el("div", { class: "wide" }, mapChoice("maps-of-one")), mapTable(row));
  const group = groupOf(row) >= 0 ? rowsOfGroup(groupOf(row)) : [];
  if (group.length) {
    const others = el("ul", { class: "cards strip" });
    showCards(others, group.filter((other) => other !== row).slice(0, 30), group);
    body.append(el("div", { class: "wide" }, el("h3", {}, `Near-identical: ${images(group.length - 1)} besides this one`), others));
  }
  byId("detail").replaceChildren(bar, body);
}

function rowsOfGroup(group) {
  const rows = [];
  for (let row = 0; row < total; row++) if (groupOf(row) === group) rows.push(row);
  return rows;
}

function listenToDetail() {
  const dialog = byId("detail");
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", (event) => {
    if (event.key === "ArrowLeft") step(-1);
    else if (event.key === "ArrowRight") step(1);
    else return;
    event.preventDefault();
  });
}
