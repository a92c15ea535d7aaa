// Formulas that the engine has not drawn: in the outputs of cells, in what a sentence has computed, in titles. And those
// that it has, put right.
import { fromHtml } from "hast-util-from-html";
import { toHtml } from "hast-util-to-html";
import { toString } from "hast-util-to-string";
import katex from "katex";

/** HTML of a formula, drawn as the engine draws its own. */
export function formula(source, display = false) {
  try {
    return valid(katex.renderToString(source.trim(), { displayMode: display, throwOnError: true }));
  } catch (error) {
    throw new Error(`the formula ${source.trim()} cannot be drawn: ${error.message}`);
  }
}

const MATH = /\$\$((?:\\.|[^\\])+?)\$\$|\\\[(.+?)\\\]|\$((?:\\.|[^$\\])+)\$|\\\((.+?)\\\)|(\\begin\{(\w+\*?)\}.*?\\end\{\6\})/gs;

/** Text and formulas of a LaTeX source, in order: `{ text }`, or `{ formula, display }`. */
export function parsed(source) {
  const parts = [];
  let at = 0;
  for (const found of source.matchAll(MATH)) {
    parts.push({ text: source.slice(at, found.index) });
    const display = found[1] ?? found[2] ?? found[5];
    parts.push({ formula: display ?? found[3] ?? found[4], display: display !== undefined });
    at = found.index + found[0].length;
  }
  return [...parts, { text: source.slice(at) }].filter((part) => part.formula !== undefined || part.text);
}

/** How a formula reads: its letters in order, without the commands. */
export function spoken(html) {
  const [, presentation = ""] = /<math[^>]*>(.*?)<annotation/s.exec(html) ?? [];
  return toString(fromHtml(presentation, { fragment: true })).replace(/\u2061/g, "");
}

const FEW = { msub: 2, msup: 2, msubsup: 3, munder: 2, mover: 2, munderover: 3, mfrac: 2, mroot: 2 };

/**
 * MathML that is valid. KaTeX puts the sign of application after an operator's name, `\max`, also where a single element must
 * stand, as in `a_{\max}`; and HTML needs no namespace, of which there would be hundreds on a page.
 */
export function valid(html) {
  const plain = unquoted(html.replaceAll(' xmlns="http://www.w3.org/1998/Math/MathML"', ""));
  if (!/<mo>(\u2061|&#x2061;)<\/mo>/.test(plain)) return plain;
  const tree = fromHtml(plain, { fragment: true });
  const mend = (node) => {
    if (!node.children) return;
    if (node.tagName in FEW && node.children.length > FEW[node.tagName]) node.children = node.children.filter((child) => toString(child) !== "\u2061");
    node.children.forEach(mend);
  };
  mend(tree);
  return toHtml(tree, { preferUnquoted: true });
}

/** A word needs no quotes, of which the formulas of a page have thousands. */
const unquoted = (html) => html.replace(/<[^>]*[^/]>/g, (tag) => tag.replace(/="([\w-]+)"/g, "=$1"));
