// Pictures, and what a reader can do with them.
import { h } from "hastscript";
import { fileAddress } from "./addresses.mjs";

/** An image with its size, so that the text below does not jump when it arrives. */
function picture(url, properties, context) {
  const local = url?.startsWith("/");
  const file = context.book.files.get(url);
  const size = file?.width ? { width: file.width, height: file.height } : {};
  return h("img", { src: local ? fileAddress(url, context) : url, loading: "lazy", decoding: "async", ...size, ...properties });
}

/** A figure that a cell drew. The kernel draws it as PNG for light, as WebP for dark, and both for a narrow column. */
export function plot(bundle, type, node, context) {
  const { inches } = context.book.files.get(bundle[type].path) ?? {};
  const wanted = node.jupyter_data?.metadata?.[type] ?? {}; // in pixels, as of `Image(…, width=300)`
  const size = ["width", "height"].filter((name) => wanted[name] > 0).map((name) => `${name}:${Number(wanted[name])}px`);
  const style = size.length ? size.join(";") : inches ? `--inches:${inches.toFixed(2)}` : undefined;
  const alt = node.alt ?? "";
  const drawn = (kind, narrow, scheme) => onNarrow(bundle[narrow]?.path, picture(bundle[kind].path, { alt, class: ["plot", scheme].filter(Boolean), style }, context), context);
  if (context.paper) return onPaper(bundle, type, { alt, class: "plot", style }, context);
  if (type !== "image/png" || !bundle["image/webp"]?.path) return drawn(type, null, "");
  return h("span.themed", drawn(type, "image/webp+narrow", "for-light"), drawn("image/webp", "image/webp+narrow-dark", "for-dark"));
}

/** Of a figure on paper its lines, where the kernel has drawn them, and else its dots. */
function onPaper(bundle, type, properties, context) {
  const lines = bundle["image/svg+xml+paper"]?.path;
  const { width, height } = context.book.files.get(bundle[type].path) ?? {};
  return picture(lines ?? bundle[type].path, { ...properties, ...(lines ? { width, height } : {}) }, context);
}

/** A picture that gives way to another one where the text is narrow. */
function onNarrow(url, wide, context) {
  if (!url) return wide;
  const { width, height } = context.book.files.get(url);
  return h("picture", h("source", { media: NARROW, srcSet: fileAddress(url, context), width, height }), wide);
}
const NARROW = "(width < 600px)";

export const isPicture = (part) => ["img", "picture"].includes(part.tagName) || (part.properties?.className ?? []).includes("themed");
const firstImage = (part) => (part.tagName === "img" ? part : firstImage(part.children.at(part.tagName === "picture" ? -1 : 0)));

/** A picture that can be looked at by itself: a plain link, which the script opens in place. */
export function enlargeable(part) {
  if (!isPicture(part)) return part;
  const { src } = firstImage(part).properties;
  return h("a.enlarge", { href: src }, part);
}

function image(node, context) {
  const length = (value) => (/^[\d.]+$/.test(value) ? `${value}px` : value);
  const style = ["width", "height"].filter((name) => node[name]).map((name) => `${name}:${length(node[name])}`).join(";");
  return picture(node.url, {
    alt: node.alt ?? "", title: node.title, style: style || undefined,
    class: node.align ? [`put-${node.align}`] : undefined,
  }, context);
}

export const kinds = { image };
