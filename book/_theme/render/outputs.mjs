// What cells print, as a browser may show it.
import { h } from "hastscript";
import { imageSize } from "image-size";
import { highlight } from "../highlight.mjs";
import { raw, render } from "./core.mjs";
import { formula, parsed } from "./formulas.mjs";
import { framed, htmlInText, htmlOutput } from "./html.mjs";
import { isNameless } from "./names.mjs";
import { enlargeable, plot } from "./pictures.mjs";
import { screen } from "./terminal.mjs";

const joined = (value) => (Array.isArray(value) ? value.join("") : value ?? "");

/** Content of an output, or of one kind of it: what is long the engine keeps in a file, and leaves of it the beginning, or nothing. */
const whole = (of, key, context) => (of.path && context.book.files.get(of.path)?.text) ?? joined(of[key]);

/** What a kernel printed may come in several messages, as time would have it: those of one stream are one text. */
function joinedStreams(nodes, context) {
  const found = [];
  for (const node of nodes) {
    const [data, last] = [node.jupyter_data, found.at(-1)?.jupyter_data];
    if (data?.output_type !== "stream") found.push(node);
    else {
      const text = whole(data, "text", context);
      if (last?.output_type === "stream" && data.name === last.name) last.text += text;
      else found.push({ ...node, jupyter_data: { output_type: "stream", name: data.name, text } });
    }
  }
  return found;
}

const CLEARED = "application/vnd.tree-world.cleared"; // says tools/kernel/cleared_outputs.py

/** What is left in the end: clearing takes what came before it, at once or as soon as something follows. */
function left(nodes) {
  let [found, waits] = [[], false];
  for (const node of nodes) {
    const cleared = node.jupyter_data?.data?.[CLEARED]?.content;
    if (cleared === "wait") waits = true;
    else if (cleared) [found, waits] = [[], false];
    else [found, waits] = [waits ? [node] : [...found, node], false];
  }
  return found;
}

/** What the outputs of a cell show, in order. */
export function outputs(node, context) {
  return joinedStreams(left(node.children ?? []), context).flatMap((child) => render(child, context));
}

/** Outputs under a fold, pictures and all. */
export const foldedOutputs = (parts) => h("details.output", h("summary", "Output"), h("div.outputs", parts.map(enlargeable)));

function outputsAsTheyAsk(node, context) {
  if (node.visibility === "remove") return [];
  const parts = outputs(node, context);
  return node.visibility === "hide" && parts.length ? foldedOutputs(parts) : parts;
}

const ansi = /\u001b\[[0-9;]*m/;
const LONG = 25_000; // characters

/** Text as a terminal shows it in the end, with the colours that it asks for. What is very long is folded, whole. */
function terminal(kind, string, first) {
  const text = screen(string);
  const pre = h("pre", { class: kind }, ansi.test(text) ? highlight(text, "ansi") : text);
  if (text.length <= LONG) return pre;
  const lines = text.replace(/\n$/, "").split("\n").length;
  return h("details.long", h("summary", `${first ?? "Long output"}: ${lines === 1 ? `a line of ${text.length} characters` : `${lines} lines`}`), pre);
}

function latex(source) {
  const parts = parsed(source).filter((part) => part.formula || part.text.trim());
  const isOne = parts.length === 1 && parts[0].formula;
  if (isOne) return h("div.formula", {}, raw(formula(parts[0].formula, true)));
  return h("div.html", h("p", parts.map((part) => (part.formula ? raw(formula(part.formula, part.display)) : part.text))));
}

function plain(text, bundle) {
  if (!isNameless(text)) return terminal("result", text);
  const others = Object.keys(bundle).filter((kind) => kind !== "text/plain");
  const what = others.length ? `no way to show an output of ${others.join(", ")}, and its text ${text} says nothing` : `a cell ends in ${text}, which says nothing to a reader`;
  throw new Error(`${what}. Give it a picture, HTML or a text (__repr__), print what matters, or end the line in a semicolon`);
}

const CURES = {
  "application/vnd.plotly.v1+json": " End the cell in HTML(figure.to_html(include_plotlyjs=True)).",
  "application/vnd.bokehjs_exec.v0+json": " End the cell in HTML(bokeh.embed.file_html(plot, INLINE)).",
  "application/vnd.bokehjs_load.v0+json": " Leave output_notebook() out, and end cells in HTML(bokeh.embed.file_html(plot, INLINE)).",
};

/** The place of a figure that can be touched, as high as what will stand in it; the script fills it. */
export const touchable = ({ name, key, address, rows, beside, told }) => h("div.touch", {
  dataFigure: name, dataKey: key, dataState: address, style: `--rows:${rows};--rows-beside:${beside};--told:${told}`,
});

export const isTouchable = (part) => (part.properties?.className ?? []).includes("touch");

function bundled(bundle, node, context) {
  if (node.touch) return touchable(node.touch);
  const has = (kind) => bundle[kind] !== undefined;
  const content = (kind) => whole(bundle[kind], "content", context);
  const images = Object.keys(bundle).filter((kind) => kind.startsWith("image/"));
  const image = images.find((kind) => kind === "image/png") ?? images[0];
  if (image && bundle[image].path) return plot(bundle, image, node, context);
  if (image) {
    const { width, height } = imageSize(Buffer.from(content(image))); // short SVG comes without a file
    return h("img.plot", { src: `data:${image},${encodeURIComponent(content(image))}`, width, height, alt: node.alt ?? "" });
  }
  const cure = Object.keys(bundle).find((kind) => CURES[kind]);
  if (has("text/html") && !cure) return htmlOutput(content("text/html"), context);
  if (has("text/latex")) return latex(content("text/latex"));
  if (has("application/json")) return h("pre.result", highlight(JSON.stringify(JSON.parse(content("application/json")), null, 2), "json"));
  if (has("application/javascript")) return framed(`<script>${content("application/javascript")}</script>`);
  if (has("text/plain") && !cure) return plain(content("text/plain"), bundle);
  throw new Error(`no way to show an output that is only ${Object.keys(bundle).join(", ") || "empty"}.${CURES[cure] ?? " Give the object HTML, a picture or a text."}`);
}

function output(node, context) {
  const data = node.jupyter_data ?? {};
  if (data.output_type === "stream") {
    const isError = data.name === "stderr";
    const pre = terminal(isError ? "stderr" : "stdout", whole(data, "text", context));
    return isError ? [h("p.stream-name", "standard error"), pre] : pre;
  }
  if (data.output_type === "error") {
    const trace = whole({ ...data, traceback: [data.traceback ?? []].flat().join("\n") }, "traceback", context) || `${data.ename}: ${data.evalue}`;
    return terminal(["traceback", node.expected ? "expected" : "unexpected"], trace, `${data.ename}: ${joined(data.evalue).slice(0, 200)}`);
  }
  return bundled(data.data ?? {}, node, context);
}

export const kinds = {
  outputs: outputsAsTheyAsk, output,
  html: (node) => htmlInText(node.value ?? "", node.phrase),
};
