// Figures that a reader can touch: their scripts (`book/figures`), and the states that cells give out for them.
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import path from "node:path";
import { pathToFileURL } from "node:url";
import { build } from "esbuild";
import { visit } from "./book.mjs";

export const MIME = "application/vnd.tree-world.figure+json"; // says tree_world/plotting/data/figure.py
const folder = path.join(import.meta.dirname, "..", "figures");

const figureNames = async () => (await readdir(folder)).filter((name) => name.endsWith(".mjs")).map((name) => path.parse(name).name).sort();

/** One script a figure: for pages plain ones, since modules cannot be loaded from disk; for notebooks modules. */
export async function bundleFigures(target, { forNotebooks = false } = {}) {
  for (const name of await figureNames()) {
    const contents = forNotebooks ? `export { default } from "./${name}.mjs";` : `import figure from "./${name}.mjs"; globalThis.treeWorldFigures.bring("${name}", figure);`;
    await build({
      stdin: { contents, resolveDir: folder, sourcefile: `${name}.js` }, outfile: path.join(target, `${name}.js`),
      bundle: true, minify: true, format: forNotebooks ? "esm" : "iife", target: ["es2022"], legalComments: "none", logLevel: "warning",
    });
  }
}

/** Each state is written into a script of its own, `data.states`; the output knows its address and how high its controls are. */
export async function tellStates(data, files) {
  const outputs = [];
  visit(data.mdast, (node) => { if (node.type === "output" && node.jupyter_data?.data?.[MIME]) outputs.push(node); });
  data.states = await Promise.all(outputs.map(async (node) => {
    const given = node.jupyter_data.data[MIME];
    const text = files.get(given.path)?.text ?? given.content;
    const { name, data: script } = typeof text === "string" ? JSON.parse(text) : text;
    const state = JSON.parse(script);
    const key = createHash("sha256").update(name).update(script).digest("hex").slice(0, 12);
    const address = `assets/states/${key}.js`;
    node.touch = { name, key, address, ...(await heights(name, state, data.location)) };
    return { address, text: `globalThis.treeWorldFigures.bring("${key}",${script});\n` };
  }));
}

/** How many rows controls take in two columns, where that of time takes both. */
function rowsBeside(specs) {
  let [rows, half] = [0, false];
  for (const { kind } of specs) {
    const starts = kind === "time" || !half;
    if (starts) rows += 1;
    half = kind !== "time" && starts;
  }
  return rows;
}

/** What a figure says at first, and so whether script and state are of one mind; how many rows its controls take. */
async function heights(name, state, where) {
  try {
    const { default: parts } = await import(pathToFileURL(path.join(folder, `${name}.mjs`)));
    const { answerFor, preparedFor } = await import(pathToFileURL(path.join(folder, "toolkit", "figure.mjs")));
    const prepared = preparedFor(parts, state);
    const specs = parts.controls(prepared);
    const values = Object.fromEntries(specs.map((spec) => [spec.name, spec.start]));
    const told = parts.say(prepared, values, answerFor(parts, state, {})).length;
    const shown = specs.filter(({ kind }) => !["place", "trail"].includes(kind));
    return { rows: shown.length, beside: rowsBeside(shown), told };
  } catch (error) {
    throw new Error(`figure ${name} cannot be made from the state that its cell gives out: ${error.message} (${where})`);
  }
}
