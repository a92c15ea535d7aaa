// The table of kinds, put together from the subjects.
import { kinds as cells } from "./cells.mjs";
import { kinds as citations } from "./citations.mjs";
import { children, kinds } from "./core.mjs";
import { kinds as figures } from "./figures.mjs";
import { kinds as notes } from "./notes.mjs";
import { kinds as outputs } from "./outputs.mjs";
import { kinds as pictures } from "./pictures.mjs";
import { kinds as references } from "./references.mjs";
import { kinds as text } from "./text.mjs";

const shell = {
  root: children,
  embed: children,
  include: children,
  mystDirective: children,
  mystTarget: () => null,
  comment: () => null,
};

Object.assign(kinds, shell, text, references, citations, notes, pictures, figures, cells, outputs);

export { pageAddress } from "./addresses.mjs";
export { duration } from "./cells.mjs";
export { escape, render } from "./core.mjs";
export { sanitizeHtml } from "./outputs.mjs";
