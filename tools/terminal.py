"""What a terminal shows in the end, of all that was written to it.

The theme has the same in JavaScript (``render/terminal.mjs``), for the pages; here it serves
comparisons. A test holds the two together.
"""

from __future__ import annotations

import re

_CODE = re.compile(
    r"\x1b\[([0-9;?]*)([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-Z\\^_]|.", re.DOTALL
)
_BLANK = " "


def screen(text: str) -> str:
    """Apply carriage returns, backspaces, moves of the cursor and erasures; leave out colours.

    Parameters
    ----------
    text : str
        All that was written.

    Returns
    -------
    str
        Without any code: of links, their text.
    """
    rows: list[list[str]] = [[]]
    row = column = 0
    for match in _CODE.finditer(text):
        code, letter = match[0], match[2]
        if letter is None:
            if code == "\n":
                row, column = row + 1, 0
            elif code == "\r":
                column = 0
            elif code == "\b":
                column = max(0, column - 1)
            elif code == "\t" or (len(code) == 1 and code >= " " and code != "\x7f"):
                line = rows[row]
                line += [_BLANK] * (column - len(line))
                line[column : column + 1] = code
                column += 1
        else:
            numbers = [int(n) if n.isdigit() else 0 for n in match[1].split(";")]
            count = max(1, numbers[0])
            if letter in "AB":
                row = max(0, row + (count if letter == "B" else -count))
            elif letter in "CD":
                column = max(0, column + (count if letter == "C" else -count))
            elif letter == "G":
                column = count - 1
            elif letter in "Hf":
                row, column = count - 1, max(1, numbers[1] if len(numbers) > 1 else 1) - 1
            elif letter in "KJ":
                _erase(rows, row, column, letter, numbers[0])
        rows += [[] for _ in range(row + 1 - len(rows))]
    return "\n".join("".join(line) for line in rows)


def _erase(rows: list[list[str]], row: int, column: int, what: str, how: int) -> None:
    line = rows[row]
    if how == 1:
        end = min(column + 1, len(line))
        line[:end] = [_BLANK] * end
    else:
        del line[column if how == 0 else 0 :]
    if what == "J":
        for index, other in enumerate(rows):
            if (how != 1 and index > row) or (how != 0 and index < row):
                other.clear()
