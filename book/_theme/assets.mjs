// Fill public/, which the engine copies to the root of the site, from this folder and node_modules.
import { cp, mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import path from "node:path";

const here = import.meta.dirname;
const modules = path.join(here, "node_modules");
const target = path.join(here, "public", "assets");

if (!existsSync(modules)) {
  console.error(`The theme's packages are missing. Run: npm ci --prefix ${path.relative(process.cwd(), here) || "."}`);
  process.exit(1);
}

const fonts = {
  "source-serif-4": ["wght-normal", "wght-italic"],
  inter: ["wght-normal"],
  "jetbrains-mono": ["wght-normal"],
};

await rm(path.join(here, "public"), { recursive: true, force: true });
await mkdir(path.join(target, "fonts"), { recursive: true });
for (const file of ["style.css", "script.js", "favicon.svg"]) {
  await cp(path.join(here, file), path.join(target, file));
}
for (const [family, styles] of Object.entries(fonts)) {
  for (const style of styles) {
    const name = `${family}-latin-${style}.woff2`;
    await cp(path.join(modules, "@fontsource-variable", family, "files", name), path.join(target, "fonts", name));
  }
}

// KaTeX ships every font three times; all browsers that know the rest of this theme know woff2.
const katex = path.join(modules, "katex", "dist");
const css = await readFile(path.join(katex, "katex.min.css"), "utf8");
await writeFile(path.join(target, "katex.css"), css.replace(/,url\([^)]*\.(?:woff|ttf)\) format\("[^"]*"\)/g, ""));
for (const file of await readdir(path.join(katex, "fonts"))) {
  if (file.endsWith(".woff2")) await cp(path.join(katex, "fonts", file), path.join(target, "fonts", file));
}
