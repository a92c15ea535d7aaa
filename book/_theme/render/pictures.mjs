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
export function plot(bundle, type, alt, context) {
  const inches = context.book.files.get(bundle[type].path)?.inches;
  const style = inches ? `--inches:${inches.toFixed(2)}` : undefined;
  const drawn = (kind, narrow, scheme) => onNarrow(bundle[narrow]?.path, picture(bundle[kind].path, { alt, class: ["plot", scheme].filter(Boolean), style }, context), context);
  if (type !== "image/png" || !bundle["image/webp"]?.path) return drawn(type, null, "");
  return h("span.themed", drawn(type, "image/webp+narrow", "for-light"), drawn("image/webp", "image/webp+narrow-dark", "for-dark"));
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
  const style = node.width ? `width:${node.width}` : undefined;
  return picture(node.url, { alt: node.alt ?? "", ...(style ? { style } : {}) }, context);
}

export const kinds = { image };
