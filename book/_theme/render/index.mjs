// The table of kinds, put together from the subjects.
import { kinds as cells } from "./cells.mjs";
import { kinds as citations } from "./citations.mjs";
import { children, kinds } from "./core.mjs";
import { kinds as figures } from "./figures.mjs";
import { include } from "./included.mjs";
import { kinds as notes } from "./notes.mjs";
import { kinds as outputs } from "./outputs.mjs";
import { kinds as pictures } from "./pictures.mjs";
import { kinds as references } from "./references.mjs";
import { kinds as text } from "./text.mjs";

// While an author writes, the engine goes on after an error, and leaves what it says in the tree.
function failed(node) {
  throw new Error(`${node.message || "this directive or role has an error, which the engine tells where it runs"}`);
}

const shell = {
  root: children,
  mystDirectiveError: failed,
  mystRoleError: failed,
  embed: children,
  include,
  mystDirective: children,
  mystTarget: () => null,
  blockBreak: () => null, // by which the source of a page is cut into cells
  comment: () => null,
};

Object.assign(kinds, shell, text, references, citations, notes, pictures, figures, cells, outputs);

export { pageAddress } from "./addresses.mjs";
export { duration } from "./cells.mjs";
export { escape, render } from "./core.mjs";
export { cleaned } from "./html.mjs";
export { quoted, quotedFigure } from "./references.mjs";
export { titled, titleText } from "./titles.mjs";
