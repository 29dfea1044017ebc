// Charts as inline SVG. Each has a table beside it that says the same.

function ticks(low, high, most) {
  const raw = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + step * 1e-9; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function drawing(width, height, label) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
}

function drawHistogram() {
  const place = byId("histogram");
  const data = facts.histogram;
  if (!place || !data) return;
  const narrow = place.clientWidth < 560;
  const [width, height, left, right, top, bottom] = [narrow ? 460 : 1000, narrow ? 260 : 230, 46, 10, 14, 30];
  const { edges, counts, std_errors: errors } = data;
  const low = edges[0], high = edges[edges.length - 1], most = Math.max(...counts);
  const x = (value) => left + ((value - low) / (high - low)) * (width - left - right);
  const y = (n) => height - bottom - (n / most) * (height - top - bottom);
  const chart = drawing(width, height, `Histogram of ${count(scoredRows)} scores; the table below has its numbers`);
  for (const tick of ticks(0, most, 4).filter(Number.isInteger)) {
    chart.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, compact(tick)));
  }
  for (const tick of ticks(low, high, narrow ? 5 : 9)) {
    chart.append(svg("text", { x: x(tick), y: height - 10, "text-anchor": "middle" }, String(tick)));
  }
  counts.forEach((n, bin) => {
    if (!n) return;
    const first = bin === 0 && data.low_open, last = bin === counts.length - 1 && data.high_open;
    const title = `${images(n)} ${first ? "up to" : `from ${shown(edges[bin])} to`} ${last ? "the highest" : shown(edges[bin + 1])}`;
    const from = first ? null : edges[bin], to = last ? null : edges[bin + 1];
    const show = () => explore({ low: from, high: to, sort: "score" });
    const box = { x: x(edges[bin]) + 0.5, width: Math.max(1, x(edges[bin + 1]) - x(edges[bin]) - 1) };
    // The whole height of a bin is its target: low bars are those one wants.
    chart.append(
      svg("rect", { class: "hitbox", ...box, y: top, height: height - top - bottom, onclick: show }, svg("title", {}, title)),
      svg("rect", { class: "bar hit", ...box, y: Math.min(y(n), height - bottom - 1.5), height: Math.max(1.5, height - bottom - y(n)), onclick: show }, svg("title", {}, title)));
    if (errors[bin] > 0) {
      const middle = (edges[bin] + edges[bin + 1]) / 2;
      const [a, b] = [Math.max(left, x(middle - errors[bin])), Math.min(width - right, x(middle + errors[bin]))];
      const at = Math.max(top, y(n) - 5);
      chart.append(svg("line", { class: "whisker", x1: a, x2: b, y1: at, y2: at }),
        svg("line", { class: "whisker", x1: a, x2: a, y1: at - 3, y2: at + 3 }), svg("line", { class: "whisker", x1: b, x2: b, y1: at - 3, y2: at + 3 }));
    }
  });
  place.replaceChildren(chart);
}

function drawRelation(place) {
  const data = facts.relations[Number(place.dataset.relation)];
  const label = `Score against ${data.title.toLowerCase()} (${data.unit}), Spearman ${data.spearman.toFixed(2)}; the table below has its numbers`;
  drawScatter(place, data, label, (row) => factOf(data.name, row), scoreOf, scoreText);
}

// Two quantities of all rows: points, or counts of cells where there are many; and a line of medians.
function drawScatter(place, data, label, across, up, said) {
  const [width, height, left, right, top, bottom] = [420, 280, 48, 8, 10, 28];
  const to = data.logarithmic ? Math.log : (x) => x, back = data.logarithmic ? Math.exp : (u) => u;
  const points = [];
  let range = data.grid && data.grid.range;
  if (!range) {
    range = [Infinity, -Infinity, Infinity, -Infinity];
    for (let row = 0; row < total; row++) {
      const u = to(across(row)), v = up(row);
      if (!Number.isFinite(u) || Number.isNaN(v)) continue;
      points.push([row, u, v]);
      range = [Math.min(range[0], u), Math.max(range[1], u), Math.min(range[2], v), Math.max(range[3], v)];
    }
  }
  const [x0, x1, y0, y1] = [range[0], range[1], range[2], range[3] > range[2] ? range[3] : range[2] + 1];
  const x = (u) => left + ((Math.min(x1, Math.max(x0, u)) - x0) / (x1 - x0 || 1)) * (width - left - right);
  const y = (v) => height - bottom - ((Math.min(y1, Math.max(y0, v)) - y0) / (y1 - y0)) * (height - top - bottom);
  const chart = drawing(width, height, label);
  for (const tick of ticks(y0, y1, 5)) {
    chart.append(svg("line", { class: "axis", x1: left, x2: width - right, y1: y(tick), y2: y(tick) }),
      svg("text", { x: left - 6, y: y(tick) + 4, "text-anchor": "end" }, String(tick)));
  }
  for (let i = 0; i <= 4; i++) {
    const u = x0 + ((x1 - x0) * i) / 4;
    chart.append(svg("text", { x: x(u), y: height - 8, "text-anchor": i === 0 ? "start" : i === 4 ? "end" : "middle" }, compact(back(u))));
  }
  if (data.grid) {
    const most = Math.max(...data.grid.cells.map((cell) => cell[2]));
    const [w, h] = [(width - left - right) / 60, (height - top - bottom) / 36];
    for (const [column, line, n] of data.grid.cells) {
      chart.append(svg("rect", { class: "cell", x: left + column * w, y: height - bottom - (line + 1) * h, width: w + 0.3, height: h + 0.3,
        "fill-opacity": (0.12 + 0.88 * (Math.log1p(n) / Math.log1p(most))).toFixed(2) }, svg("title", {}, images(n))));
    }
  }
  const list = points.map(([row]) => row);
  for (const [row, u, v] of points) {
    chart.append(svg("circle", { class: "point", cx: x(u).toFixed(1), cy: y(v).toFixed(1), r: points.length > 600 ? 2.5 : 3.5, onclick: () => openDetail(row, list) },
      svg("title", {}, `${nameOf(row)}: ${said(row)}`)));
  }
  const line = data.tenths.filter((tenth) => Number.isFinite(to(tenth[6]))).map(([, , , median, , , at]) => `${x(to(at)).toFixed(1)},${y(median).toFixed(1)}`);
  chart.append(svg("polyline", { class: "medians", points: line.join(" ") }));
  place.replaceChildren(chart);
}

function drawBoxes() {
  const cells = [...document.querySelectorAll("[data-box]")];
  const boxes = cells.map((cell) => JSON.parse(cell.dataset.box));
  const low = Math.min(...boxes.map((b) => b[0])), high = Math.max(...boxes.map((b) => b[4]));
  const x = (value) => (4 + ((value - low) / (high - low || 1)) * 172).toFixed(1);
  cells.forEach((cell, i) => {
    const [a, b, m, c, d] = boxes[i];
    cell.append(svg("svg", { viewBox: "0 0 180 26", "aria-hidden": "true" },
      svg("line", { class: "middle", x1: x(medianScore), x2: x(medianScore), y1: 1, y2: 25 }),
      svg("line", { class: "box-line", x1: x(a), x2: x(d), y1: 13, y2: 13 }),
      svg("rect", { class: "box-fill", x: x(b), y: 6, width: Math.max(1, x(c) - x(b)), height: 14, rx: 2 }),
      svg("line", { class: "box-median", x1: x(m), x2: x(m), y1: 5, y2: 21 })));
  });
}
