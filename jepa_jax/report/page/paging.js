// What is looked for among all rows, and the page of it that is shown.
// Of each page its own: blankFilter, writeFilter, readFilter, refresh, pageSize, resultsOf, exported.

// None before the first `setFilter`.
let filter = null;
let found = [];
let pageShown = 0;

function showPage(page = 0) {
  const size = pageSize(), last = Math.max(1, Math.ceil(found.length / size));
  pageShown = Math.min(Math.max(0, page), last - 1);
  const rows = found.slice(pageShown * size, (pageShown + 1) * size);
  byId("results").replaceChildren(rows.length ? resultsOf(rows) : el("p", {}, "No image matches. Clear a filter."));
  byId("pages").hidden = last === 1;
  byId("page").value = pageShown + 1;
  byId("page").max = last;
  byId("last").textContent = count(last);
  byId("previous").disabled = pageShown === 0;
  byId("next").disabled = pageShown === last - 1;
}

function setFilter(wanted) {
  filter = wanted;
  writeFilter();
  refresh();
}

// From elsewhere on the page: show just this.
function explore(wanted) {
  setFilter({ ...blankFilter, ...wanted });
  byId("explore").scrollIntoView();
  byId("h-explore").focus({ preventScroll: true });
}

function sortBy(key) {
  setFilter({ ...filter, sort: key });
  focusOnOrder();
}

// In a box of its own, where it is wider than the page: the keyboard can scroll it.
function tableOf(rows) {
  return el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "Images" }, asTable(rows, tableColumns(), filter.sort, sortBy));
}

// `name`: of the files that are downloaded.
function listenToFilters(name) {
  let waiting = 0;
  const changed = (event) => {
    if (event.target.name === "view") return;
    clearTimeout(waiting);
    waiting = setTimeout(readFilter, event.target.type === "search" || event.target.type === "number" ? 200 : 0);
  };
  // Not every browser sends both for every kind of field.
  byId("filters").addEventListener("input", changed);
  byId("filters").addEventListener("change", changed);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("filters").addEventListener("reset", (event) => {
    event.preventDefault();
    setFilter({ ...blankFilter });
  });
  const turn = (by) => {
    showPage(pageShown + by);
    byId("count").scrollIntoView();
  };
  byId("previous").addEventListener("click", () => turn(-1));
  byId("next").addEventListener("click", () => turn(1));
  byId("page").addEventListener("change", () => showPage(Number(byId("page").value) - 1));
  byId("download").addEventListener("click", () => save(`${name}.csv`, "text/csv", csvOf(found, exported())));
  byId("download-ids").addEventListener("click", () => save(`${name}.txt`, "text/plain", listOf(found)));
  for (const button of document.querySelectorAll("[data-filter]")) {
    button.addEventListener("click", () => explore(JSON.parse(button.dataset.filter)));
  }
}
