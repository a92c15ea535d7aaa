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

/** A figure that a cell drew. The kernel draws it twice: as PNG for light, and as WebP for dark. */
export function plot(bundle, type, alt, context) {
  const inches = context.book.files.get(bundle[type].path)?.inches;
  const style = inches ? `--inches:${inches.toFixed(2)}` : undefined;
  const dark = type === "image/png" && bundle["image/webp"]?.path;
  const light = picture(bundle[type].path, { alt, class: ["plot", dark ? "for-light" : ""].filter(Boolean), style }, context);
  return dark ? h("span.themed", light, picture(dark, { alt, class: ["plot", "for-dark"], style }, context)) : light;
}

export const isPicture = (part) => part.tagName === "img" || (part.properties?.className ?? []).includes("themed");

/** A picture that can be looked at by itself: a plain link, which the script opens in place. */
export function enlargeable(part) {
  if (!isPicture(part)) return part;
  const { src } = (part.tagName === "img" ? part : part.children[0]).properties;
  return h("a.enlarge", { href: src }, part);
}

function image(node, context) {
  const style = node.width ? `width:${node.width}` : undefined;
  return picture(node.url, { alt: node.alt ?? "", ...(style ? { style } : {}) }, context);
}

export const kinds = { image };
