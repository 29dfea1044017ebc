// Start: unpack the rows, then fill the page from the top.

async function start() {
  await loadRows();
  addCopyButtons();
  offerMaps();
  drawHistogram();
  for (const key of ["lowest", "alone", "highest", "sample"]) {
    if (byId(`strip-${key}`)) showCards(byId(`strip-${key}`), facts[key], facts[key], key === "alone" ? "conditional" : "score");
  }
  for (const place of document.querySelectorAll(".findings [data-rows]")) miniatures(place);
  // What is on the first screen is painted before the rest is made.
  await new Promise((resolve) => setTimeout(resolve));
  drawBoxes();
  for (const cell of document.querySelectorAll("td[data-rows]")) miniatures(cell);
  for (const place of document.querySelectorAll("[data-relation]")) drawRelation(place);
  showGroups();
  listFilters();
  listenToFilters("selected");
  listenToViews();
  listenToDetail();
  byId("filters").hidden = false;
  setFilter({ ...blankFilter });
  for (const button of document.querySelectorAll("[data-row]")) {
    if (button.tagName === "BUTTON") button.addEventListener("click", () => openDetail(Number(button.dataset.row), [Number(button.dataset.row)]));
  }
  const moreGroups = byId("more-groups");
  if (moreGroups) moreGroups.addEventListener("click", () => showGroups());
  const moreClasses = byId("more-classes");
  if (moreClasses) moreClasses.addEventListener("click", () => {
    for (const line of document.querySelectorAll("tr.further")) line.hidden = false;
    moreClasses.hidden = true;
  });
  document.documentElement.dataset.ready = "yes";
}

start().catch(tellTrouble);
