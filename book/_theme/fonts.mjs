// The fonts of the book: those of the text, in the weights that the stylesheet asks for, and those of KaTeX.
import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, writeFile } from "node:fs/promises";
import path from "node:path";
import subsetFont from "subset-font";

export const FONTS = [
  { family: "source-serif-4", file: "source-serif-4-latin-wght-normal.woff2", weights: { min: 400, max: 600 }, onPaper: [400, 600] },
  { family: "source-serif-4", file: "source-serif-4-latin-wght-italic.woff2", weights: 400, onPaper: [400] },
  { family: "inter", file: "inter-latin-wght-normal.woff2", weights: { min: 400, max: 650 }, onPaper: [400, 500, 600] },
  { family: "jetbrains-mono", file: "jetbrains-mono-latin-wght-normal.woff2", weights: { min: 400, max: 500 }, onPaper: [400] },
];

// What the stylesheet turns on, or leaves on: the rest is a third of a font.
const FEATURES = ["ccmp", "kern", "liga", "locl", "mark", "mkmk", "smcp", "tnum"];

/** Those that nearly every page begins with. */
export const FIRST = [FONTS[0].file, FONTS[2].file];

/** Leave in the fonts of a site, in `folder`, the letters of `text` alone. `cached` keeps what was made by its name. */
export async function subsetFonts(folder, text, cached) {
  const letters = [...new Set(text)].filter((letter) => letter >= " ").sort().join("");
  for (const file of (await readdir(folder)).filter((name) => name.endsWith(".woff2"))) {
    const whole = await readFile(path.join(folder, file));
    const weights = FONTS.find((font) => font.file === file)?.weights;
    const digest = createHash("sha256").update(whole).update(letters).update(JSON.stringify([weights, FEATURES])).digest("hex").slice(0, 16);
    const options = { targetFormat: "woff2", ...(weights ? { variationAxes: { wght: weights }, keepFeatures: FEATURES } : {}) };
    const small = await cached(`${digest}-${file}`, () => subsetFont(whole, letters, options));
    if (small.length < whole.length) await writeFile(path.join(folder, file), small);
  }
}

/** Fonts for paper, in `folder`: one a weight, since a PDF takes no font that can change its weight but as drawings of its letters. */
export async function paperFonts(folder, text, cached) {
  const letters = [...new Set(text)].filter((letter) => letter >= " ").sort().join("");
  await mkdir(folder, { recursive: true });
  for (const { family, file, onPaper } of FONTS) {
    const whole = await readFile(path.join(import.meta.dirname, "node_modules", "@fontsource-variable", family, "files", file));
    for (const weight of onPaper) {
      const digest = createHash("sha256").update(whole).update(letters).update(JSON.stringify([weight, FEATURES])).digest("hex").slice(0, 16);
      const make = () => subsetFont(whole, letters, { targetFormat: "woff2", variationAxes: { wght: weight }, keepFeatures: FEATURES });
      await writeFile(path.join(folder, file.replace("wght", `${weight}`)), await cached(`${digest}-${weight}-${file}`, make));
    }
  }
}
