// Bundle figures that can be touched for notebooks, and their style, into the folder that is named: `make lab` comes here.
import { cp, mkdir } from "node:fs/promises";
import path from "node:path";
import { bundleFigures } from "./touch.mjs";

const [target] = process.argv.slice(2);
await mkdir(target, { recursive: true });
await bundleFigures(target, { forNotebooks: true });
await cp(path.join(import.meta.dirname, "..", "figures", "toolkit", "figure.css"), path.join(target, "figure.css"));
