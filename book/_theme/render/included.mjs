// A file that a page includes. Its links are relative to where it lies, and the engine leaves them as they were written.
import path from "node:path";
import { ownRepository } from "../source.mjs";
import { children } from "./core.mjs";

export function include(node, context) {
  const folder = path.posix.dirname(path.posix.join(path.posix.dirname(context.source), node.file));
  return children({ children: relinked(node.children, folder, context) }, context);
}

const relinked = (nodes, folder, context) => nodes.flatMap((node) => {
  const others = node.children && { children: relinked(node.children, folder, context) };
  if (node.type !== "link" || node.internal || /^([a-z]+:|[/#])/i.test(node.url)) return { ...node, ...others };
  const [file, place] = node.url.split("#");
  const found = path.posix.join(folder, file);
  const page = [...context.book.pages.values()].find(({ location }) => location === found);
  if (page) return { ...node, ...others, internal: true, url: `/${page.slug}${place ? `#${place}` : ""}` };
  const source = ownRepository();
  // Where nobody can look at the file, its name is all that there is to tell.
  return source ? { ...node, ...others, url: source.page(found) } : others.children;
});
