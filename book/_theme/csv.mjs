// A table of the book as CSV: the words of its cells, formulas as LaTeX, numbers with a plain minus.

const MINUS = /\u2212/g;
const SPACES = /[\s\u00a0\u2009\u202f]+/g;
const NUMBER = /^[-+]?(\d[\d,]*)?(\.\d+)?$/;

/** The text of a node of the engine's tree, as it can be written in plain letters. */
function plain(node) {
  if (node.type === "inlineMath" || node.type === "math") {
    const value = (node.value ?? "").trim();
    return NUMBER.test(value) && value ? value : `$${value}$`;
  }
  if (node.type === "footnoteReference") return "";
  if (node.type === "break") return " ";
  return node.value !== undefined && !node.children?.length ? node.value : (node.children ?? []).map(plain).join("");
}

const cellText = (cell) => plain(cell).replace(MINUS, "-").replace(SPACES, " ").trim();

/** Lines of a table as lists of texts. A cell that spans others leaves these empty. */
export function rowsOf(table) {
  const lines = (table.children ?? []).map(() => []);
  lines.forEach((line, at) => {
    let column = 0;
    for (const cell of table.children[at].children ?? []) {
      while (line[column] !== undefined) column += 1;
      for (let down = 0; down < (cell.rowspan ?? 1); down += 1) {
        for (let right = 0; right < (cell.colspan ?? 1); right += 1) {
          if (lines[at + down]) lines[at + down][column + right] = down || right ? "" : cellText(cell);
        }
      }
    }
  });
  const width = Math.max(0, ...lines.map((line) => line.length));
  return lines.map((line) => Array.from({ length: width }, (_, column) => line[column] ?? ""));
}

const quoted = (text) => (/[",\n\r]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** The whole table, one row a line. */
export const csvOf = (table) => rowsOf(table).map((line) => `${line.map(quoted).join(",")}\n`).join("");
