// Where the volume comes from: the patches' shares as colours over a picture, and as a table.

const ramp = facts.maps.colours;
let mapsShown = "none";

const hasMap = (row) => has("map_start") && row < total && columns.map_start.data[row] > 0;

// A map's rows of shares, each relative to an equal one.
function mapOf(row) {
  const [rows, width] = [numberOf("map_rows", row), numberOf("map_columns", row)];
  const start = columns.map_start.data[row] - 1, top = numberOf("map_top", row) / 255;
  const line = (i) => Array.from(columns.maps.data.subarray(start + i * width, start + (i + 1) * width), (v) => v * top);
  return Array.from({ length: rows }, (_, i) => line(i));
}

function colourOf(share) {
  const at = Math.min(1, share / facts.maps.top) * (ramp.length - 1), i = Math.min(ramp.length - 2, Math.floor(at));
  return ramp[i].map((from, channel) => Math.round(from + (at - i) * (ramp[i + 1][channel] - from)));
}

// The part of an image (width, height) that the map is of: left, top, width, height; null where not known.
function seenPart(width, height) {
  const { cut, short_edge: edge, side } = facts.maps.placement || {};
  if (cut === "none") return [0, 0, width, height];
  if (cut === "centre") {
    const square = (side / edge) * Math.min(width, height);
    return [(width - square) / 2, (height - square) / 2, square, square];
  }
  if (cut === "remainder" && edge > 0) {
    const scale = edge / Math.min(width, height);
    return [0, 0, ...[width, height].map((n) => (Math.floor(Math.round(n * scale) / side) * side) / scale)];
  }
  return null;
}

// Over a picture that has its size: the canvas has its pixels, and lies as the picture does.
function drawMap(canvas, image, row) {
  const part = seenPart(image.naturalWidth, image.naturalHeight);
  const map = mapOf(row), alone = mapsShown === "alone" || !part;
  [canvas.width, canvas.height] = alone ? [map[0].length, map.length] : [image.naturalWidth, image.naturalHeight];
  const [left, top, width, height] = alone ? [0, 0, canvas.width, canvas.height] : part;
  const small = el("canvas", { width: map[0].length, height: map.length });
  const pixels = new ImageData(map[0].length, map.length);
  map.flat().forEach((share, i) => pixels.data.set([...colourOf(share), 255], 4 * i));
  small.getContext("2d").putImageData(pixels, 0, 0);
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.globalAlpha = alone ? 1 : 0.65;
  context.drawImage(small, left, top, width, height);
}

// A canvas over the picture, drawn when the picture is there.
function overlay(image, row) {
  const canvas = el("canvas", { class: "map", "aria-hidden": "true" });
  const draw = () => mapsShown !== "none" && image.naturalWidth && drawMap(canvas, image, row);
  canvas.addEventListener("redraw", draw);
  image.addEventListener("load", draw);
  return canvas;
}

function showMaps(how) {
  mapsShown = how;
  document.body.dataset.maps = how;
  for (const canvas of document.querySelectorAll("canvas.map")) canvas.dispatchEvent(new Event("redraw"));
  for (const choice of document.querySelectorAll("[data-maps-choice]")) choice.checked = choice.value === how;
}

function mapChoice(name) {
  const hows = facts.maps.placement ? { none: "Pictures", over: "Maps over pictures", alone: "Maps alone" } : { none: "Pictures", alone: "Maps" };
  const choices = Object.entries(hows).map(([how, title]) => {
    const box = el("input", { type: "radio", name, value: how, "data-maps-choice": "", onchange: () => showMaps(how) });
    box.checked = how === mapsShown;
    return el("label", {}, box, ` ${title}`);
  });
  return el("fieldset", { class: "field maps-choice" }, el("legend", {}, "Patch maps"), ...choices);
}

function mapWords(row) {
  const shares = mapOf(row).flat(), total = shares.reduce((a, b) => a + b, 0), width = numberOf("map_columns", row);
  let sum = 0, patches = 0;
  for (const share of [...shares].sort((a, b) => b - a)) if (sum < total / 2) [sum, patches] = [sum + share, patches + 1];
  const most = shares.indexOf(Math.max(...shares));
  return `half of it from ${patches} of ${shares.length} patches; most, ${((100 * shares[most]) / total).toFixed(1)} %, from row ${Math.floor(most / width) + 1}, column ${(most % width) + 1}`;
}

// The map in at most 16 x 16 blocks of patches, in percent of the volume.
function mapTable(row) {
  const map = mapOf(row), total = map.flat().reduce((a, b) => a + b, 0);
  const side = Math.ceil(Math.max(map.length, map[0].length) / 16);
  const blocks = Array.from({ length: Math.ceil(map.length / side) }, () => new Array(Math.ceil(map[0].length / side)).fill(0));
  map.forEach((line, i) => line.forEach((share, j) => (blocks[Math.floor(i / side)][Math.floor(j / side)] += (100 * share) / total)));
  const what = side > 1 ? `blocks of ${side} × ${side} patches` : "patches";
  const head = el("tr", {}, el("th", { scope: "col" }, "Row"), ...blocks[0].map((_, j) => el("th", { scope: "col", class: "n" }, String(j + 1))));
  const lines = blocks.map((line, i) => el("tr", {}, el("th", { scope: "row" }, String(i + 1)), ...line.map((value) => el("td", { class: "n" }, value.toFixed(1)))));
  return el("details", { class: "wide" }, el("summary", {}, "The patch map as a table"),
    el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": "The patch map" },
      el("table", { class: "patches" }, el("caption", { class: "hint" }, `Share of the volume, in percent, of the ${what}, from the top and the left`), el("thead", {}, head), el("tbody", {}, ...lines))));
}

function offerMaps() {
  const place = byId("maps");
  if (!place) return;
  place.prepend(mapChoice("maps"));
  const colours = ramp.map((colour) => `rgb(${colour.join(" ")})`);
  place.querySelector(".ramp").style.background = `linear-gradient(to right, ${colours.join(", ")})`;
}
