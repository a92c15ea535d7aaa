// What a terminal shows in the end, of all that was written to it. `tools/terminal.py` does the same for comparisons.

const CODE = /\u001b\[([0-9;?]*)([@-~])|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)|\u001b[@-Z\\^_]|[\s\S]/gu;
const MOVING = /[\b\r]|\u001b(?!\[[0-9;]*m)|[\u0000-\u0007\u000b\u000c\u000e-\u001a\u007f]/;

/**
 * The text after all carriage returns, backspaces, moves of the cursor and erasures; of the codes, those of colours are
 * left. Links are their text.
 */
export function screen(text) {
  if (!MOVING.test(text)) return text;
  const rows = [[]];
  let [row, column, style] = [0, 0, ""];
  const put = (glyph) => {
    const line = rows[row];
    while (line.length < column) line.push({ glyph: " ", style: "" });
    line[column] = { glyph, style };
    column += 1;
  };
  const goTo = (wanted) => {
    row = Math.max(0, wanted);
    while (rows.length <= row) rows.push([]);
  };
  const control = (numbers, letter, code) => {
    const number = parseInt(numbers, 10);
    const count = Math.max(1, number || 1);
    if (letter === "m") style = /^0*(;|$)/.test(numbers) ? (/[1-9]/.test(numbers) ? code : "") : style + code;
    else if (letter === "A") goTo(row - count);
    else if (letter === "B") goTo(row + count);
    else if (letter === "C") column += count;
    else if (letter === "D") column = Math.max(0, column - count);
    else if (letter === "G") column = count - 1;
    else if (letter === "H" || letter === "f") {
      goTo(count - 1);
      column = Math.max(1, parseInt(numbers.split(";")[1], 10) || 1) - 1;
    } else if (letter === "K" || letter === "J") erase(letter, number || 0);
  };
  const erase = (what, how) => {
    if (how === 1) rows[row].fill({ glyph: " ", style: "" }, 0, column + 1);
    else rows[row].splice(how === 0 ? column : 0);
    if (what === "K") return;
    rows.forEach((line, index) => { if ((how !== 1 && index > row) || (how !== 0 && index < row)) line.length = 0; });
  };
  for (const [code, numbers, letter] of text.matchAll(CODE)) {
    if (letter) control(numbers, letter, code);
    else if (code === "\n") { goTo(row + 1); column = 0; } else if (code === "\r") column = 0;
    else if (code === "\b") column = Math.max(0, column - 1);
    else if (code === "\t" || (code.length <= 2 && code >= " " && code !== "\u007f")) put(code);
  }
  return rows.map(written).join("\n");
}

function written(line) {
  let [text, before] = ["", ""];
  for (const { glyph, style } of line) {
    if (style !== before) text += (before ? "\u001b[0m" : "") + style;
    text += glyph;
    before = style;
  }
  return before ? `${text}\u001b[0m` : text;
}
