// The rows, unpacked: columns of numbers, and of texts, by name.

const facts = JSON.parse(document.getElementById("facts").textContent);
const chunks = [...document.querySelectorAll("script.pictures")];

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  const block = await new Response(stream).arrayBuffer();
  const length = new DataView(block).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(block, 4, length)));
  const types = { f8: Float64Array, f4: Float32Array, i4: Int32Array, u4: Uint32Array, u1: Uint8Array };
  const columns = {};
  for (const [name, column] of Object.entries(header)) {
    if (column.texts) {
      columns[name] = { at: (row) => column.texts[row] };
      continue;
    }
    const data = new types[column.type](block, 4 + length + column.offset, column.length);
    columns[name] = column.values
      ? { at: (row) => column.values[data[row]], values: column.values, codes: data }
      : { at: (row) => data[row], data };
  }
  return columns;
}

let columns = {};
let total = 0;
// For every row, how many rows score lower; filled once.
let ranks = null;
let scoredRows = 0;
let medianScore = NaN;

async function loadRows() {
  columns = await unpack(document.getElementById("rows").textContent);
  const scores = columns.score.data;
  total = scores.length;
  const order = [];
  for (let row = 0; row < total; row++) if (!Number.isNaN(scores[row])) order.push(row);
  order.sort((a, b) => scores[a] - scores[b] || a - b);
  ranks = new Uint32Array(total);
  order.forEach((row, rank) => (ranks[row] = rank));
  scoredRows = order.length;
  medianScore = scores[order[scoredRows >> 1]];
}

const has = (name) => name in columns;
const scoreOf = (row) => columns.score.data[row];
const isScored = (row) => !Number.isNaN(scoreOf(row));
const nameOf = (row) => columns.id.at(row);
const pathOf = (row) => columns.source_before.at(row) + (columns.source_own.data[row] ? nameOf(row) : "");
const hasPicture = (row) => columns.picture_chunk.data[row] > 0;
const isFlagged = (row) => columns.flagged.data[row] > 0;
const groupOf = (row) => columns.group.data[row];
const groupText = (row) => `group ${groupOf(row) + 1}${has("relation") && columns.relation.at(row) ? `, ${columns.relation.at(row)}` : ""}`;
const numberOf = (name, row) => (has(name) ? columns[name].data[row] : NaN);

// A fact of an image, NaN where it is not known.
function factOf(name, row) {
  const width = numberOf("width", row), height = numberOf("height", row);
  return name === "pixels" ? width * height : name === "aspect" ? width / height : numberOf(name, row);
}

function pictureOf(row) {
  const chunk = columns.picture_chunk.data[row];
  if (!chunk) return null;
  const start = columns.picture_start.data[row];
  const text = chunks[chunk - 1].firstChild.data.substr(start, columns.picture_length.data[row]);
  // WebP begins "RIFF", in base64 "UklG".
  return `data:image/${text.startsWith("UklG") ? "webp" : "jpeg"};base64,${text}`;
}
