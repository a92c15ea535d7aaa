// Addresses: every one is relative to the page.

export const pageAddress = (slug, context) => `${context.prefix}${slug === "index" ? "" : `${slug}/`}index.html`;

export const slugOf = (url) => url.split("#")[0].replace(/^\/|\/$/g, "") || "index";

export function internalAddress(url, context) {
  const fragment = url.split("#")[1];
  return pageAddress(slugOf(url), context) + (fragment ? `#${fragment}` : "");
}

/** Address of a file of the book; the build may know it under another name (see build.mjs). */
export function fileAddress(url, context) {
  context.used.add(url);
  return `${context.prefix}build${context.book.files.get(url)?.name ?? url}`;
}

export const internalOrNot = (url, context) => (url.startsWith("/") ? internalAddress(url, context) : url);
