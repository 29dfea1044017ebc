// Pictures, decoded when they come into view, and the cards that show them.

const seen = "IntersectionObserver" in window
  ? new IntersectionObserver((entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        seen.unobserve(entry.target);
        entry.target.src = pictureOf(Number(entry.target.dataset.row));
      }
    }, { rootMargin: "400px" })
  : null;

function picture(row, alt = "") {
  const image = el("img", { alt, "data-row": row, decoding: "async" });
  if (seen) seen.observe(image);
  else image.src = pictureOf(row);
  return image;
}

function frame(row, alt = "") {
  if (hasPicture(row)) {
    const image = picture(row, alt);
    return el("span", { class: hasMap(row) ? "frame mapped" : "frame" }, image, hasMap(row) ? overlay(image, row) : null);
  }
  const why = isScored(row) ? "no picture in this report" : columns.error.at(row) || columns.status.at(row);
  return el("span", { class: "frame" }, el("span", { class: "why" }, why));
}

// An image's score; where it has its place by the conditional one, that first.
function placing(row, by) {
  const value = by === "conditional" ? numberOf("conditional", row) : NaN;
  if (Number.isNaN(value)) return [el("span", { class: isScored(row) ? "value" : "value none" }, scoreText(row))];
  const more = [`among its ${facts.neighbours} nearest`, `score ${scoreText(row)}`];
  return [el("span", { class: "value" }, `${signed(value)} sd`), ...more.map((text) => el("span", { class: "near" }, text))];
}

// `list` is what "next" and "previous" go through in the detail view; `by`, what the images are in order of.
function card(row, list, by) {
  const badges = [];
  if (isFlagged(row)) badges.push("flagged");
  if (columns.method.values.length > 1) badges.push(columns.method.at(row));
  if (groupOf(row) >= 0) badges.push(groupText(row));
  const text = el("span", { class: "text" },
    ...placing(row, by),
    el("span", { class: "file", title: nameOf(row) }, el("bdi", {}, nameOf(row))),
    badges.length ? el("span", { class: "badges" }, ...badges.map((b) => el("span", { class: "badge" }, b))) : null);
  const button = el("button", { type: "button", class: "card", onclick: () => openDetail(row, list) }, frame(row), text);
  return el("li", {}, button);
}

function showCards(container, rows, list = rows, by = "score") {
  container.replaceChildren(...rows.map((row) => card(row, list, by)));
}

function miniatures(cell) {
  const rows = JSON.parse(cell.dataset.rows);
  for (const row of rows) {
    const inside = hasPicture(row) ? picture(row) : el("span", { class: "blank" });
    const label = `${nameOf(row)}, score ${scoreText(row)}`;
    cell.append(el("button", { type: "button", title: label, "aria-label": label, onclick: () => openDetail(row, rows) }, inside));
  }
}

let groupsShown = 0;
function showGroups(more = 10) {
  const place = byId("groups");
  if (!place) return;
  for (const rows of facts.groups.slice(groupsShown, groupsShown + more)) {
    groupsShown++;
    const list = el("ul", { class: "cards strip", "aria-label": `Group ${groupsShown}` });
    showCards(list, rows.slice(0, 60), rows);
    place.append(el("div", { class: "group" }, el("h3", {}, `Group ${groupsShown}: ${images(rows.length)}`), list));
  }
  byId("more-groups").hidden = groupsShown >= facts.groups.length;
}
