// Fill public/, which is copied to the root of the site, from this folder and node_modules.
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import path from "node:path";
import { build } from "esbuild";
import { FONTS } from "./fonts.mjs";
import { bundleFigures } from "./touch.mjs";

const here = import.meta.dirname;
const modules = path.join(here, "node_modules");
const target = path.join(here, "public", "assets");

await rm(path.join(here, "public"), { recursive: true, force: true });
await mkdir(path.join(target, "fonts"), { recursive: true });
await cp(path.join(here, "favicon.svg"), path.join(target, "favicon.svg"));
// Modules cannot be loaded from disk, so they become one plain script. Fonts stay where the style looks for them.
await build({
  entryPoints: { script: path.join(here, "script", "main.js"), style: path.join(here, "style.css") },
  outdir: target, bundle: true, minify: true, format: "iife", target: ["es2022"], external: ["fonts/*"],
  legalComments: "none", logLevel: "warning",
});
await bundleFigures(path.join(target, "figures"));
for (const { family, file } of FONTS) await cp(path.join(modules, "@fontsource-variable", family, "files", file), path.join(target, "fonts", file));

// KaTeX ships every font three times; all browsers that know the rest of this theme know woff2.
const katex = path.join(modules, "katex", "dist");
const css = await readFile(path.join(katex, "katex.min.css"), "utf8");
await writeFile(path.join(target, "katex.css"), css.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, ""));
for (const file of await readdir(path.join(katex, "fonts"))) {
  if (file.endsWith(".woff2")) await cp(path.join(katex, "fonts", file), path.join(target, "fonts", file));
}
