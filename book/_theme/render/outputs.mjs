// What cells print, as a browser may show it.
import { fromHtml } from "hast-util-from-html";
import { defaultSchema, sanitize } from "hast-util-sanitize";
import { h } from "hastscript";
import { imageSize } from "image-size";
import { highlight } from "../highlight.mjs";
import { place, raw, render } from "./core.mjs";
import { plot } from "./pictures.mjs";

/** What a kernel printed may come in several messages, as time would have it: those of one stream are one text. */
function joinedStreams(nodes) {
  const found = [];
  for (const node of nodes) {
    const [data, last] = [node.jupyter_data, found.at(-1)?.jupyter_data];
    if (data?.output_type === "stream" && last?.output_type === "stream" && data.name === last.name) {
      found[found.length - 1] = { ...found.at(-1), jupyter_data: { ...last, text: joined(last.text) + joined(data.text) } };
    } else found.push(node);
  }
  return found;
}

export function outputs(node, context) {
  return joinedStreams(node.children ?? []).flatMap((child) => render(child, context));
}

// Notebook output is not trusted: no script, no handlers, no frames.
const outputSchema = {
  ...defaultSchema,
  attributes: { ...defaultSchema.attributes, "*": [...(defaultSchema.attributes["*"] ?? []), "className", "style", "scope"] },
};
const safeStyle = (tree) => {
  const visit = (node) => {
    if (/url\s*\(|expression|@import|position\s*:/i.test(node.properties?.style ?? "")) delete node.properties.style;
    node.children?.forEach(visit);
  };
  visit(tree);
  return tree;
};
export const sanitizeHtml = (html) => safeStyle(sanitize(fromHtml(html, { fragment: true }), outputSchema)).children;

// Output that needs a script gets a frame of its own, an origin of its own, and no network.
const frameRules = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:; font-src data:";
const framed = (html) => h("iframe.html", {
  title: "Output of the cell", sandbox: "allow-scripts", loading: "lazy",
  srcDoc: `<!doctype html><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="${frameRules}"><title>Output</title><body>${html}`,
});

function htmlOutput(html, context) {
  if (context.trusted) return h("div.html", {}, raw(html));
  return /<script\b/i.test(html) ? framed(html) : h("div.html", sanitizeHtml(html));
}

const ansi = /\u001b\[[0-9;]*[A-Za-z]/;
const joined = (value) => (Array.isArray(value) ? value.join("") : value ?? "");

/** Text as a terminal shows it, with the colours that it asks for. */
function terminal(kind, string) {
  return h("pre", { class: kind }, ansi.test(string) ? highlight(string, "ansi") : string);
}

function output(node, context) {
  const data = node.jupyter_data ?? {};
  if (data.output_type === "stream") {
    const pre = terminal(data.name === "stderr" ? "stderr" : "stdout", joined(data.text));
    return data.name === "stderr" ? [h("p.stream-name", "standard error"), pre] : pre;
  }
  if (data.output_type === "error") {
    const trace = [data.traceback ?? []].flat().join("\n") || `${data.ename}: ${data.evalue}`;
    return terminal(["traceback", node.expected ? "expected" : "unexpected"], trace);
  }
  const bundle = data.data ?? {};
  const images = Object.keys(bundle).filter((type) => type.startsWith("image/"));
  const image = images.find((type) => type === "image/png") ?? images[0];
  const content = (type) => joined(bundle[type].content ?? context.book.files.get(bundle[type].path)?.text);
  if (image && bundle[image].path) return plot(bundle, image, node.alt ?? "", context);
  if (image) {
    const { width, height } = imageSize(Buffer.from(content(image))); // short SVG comes without a file
    return h("img.plot", { src: `data:${image},${encodeURIComponent(content(image))}`, width, height, alt: node.alt ?? "" });
  }
  if (bundle["text/html"]) return htmlOutput(content("text/html"), context);
  if (bundle["text/plain"]) return terminal("result", content("text/plain"));
  throw new Error(`no way to show an output that is only ${Object.keys(bundle).join(", ") || "empty"} ${place(context)}`);
}

export const kinds = { outputs, output, html: (node) => sanitizeHtml(node.value ?? "") };
