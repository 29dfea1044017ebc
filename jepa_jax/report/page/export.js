// What is shown, as files that this browser makes: nothing leaves the machine.

// RFC 4180. An apostrophe before a formula makes a text of it.
function csvCell(value) {
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = value && facts.formulas.includes(value[0]) ? `'${value}` : value;
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

// `cells`: by the column's name, what it has of a row; numbers that are none are empty.
function csvOf(rows, cells) {
  const lines = [Object.keys(cells).join(",")];
  for (const row of rows) lines.push(Object.values(cells).map((cell) => csvCell(cell(row))).join(","));
  return lines.join("\r\n") + "\r\n";
}

// One a line; what would not be one line, look quoted, or be no UTF-8 is a JSON string.
const idLine = (id) => (/[\r\n\u2028\u2029\p{Surrogate}]|^"/u.test(id) ? JSON.stringify(id) : id);
const listOf = (rows) => rows.map((row) => idLine(nameOf(row)) + "\n").join("");

function save(name, type, text) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
