// Bundle figures that can be touched for notebooks, into the folder that is named: `make lab` comes here.
import { mkdir } from "node:fs/promises";
import { bundleFigures } from "./touch.mjs";

const [target] = process.argv.slice(2);
await mkdir(target, { recursive: true });
await bundleFigures(target, { forNotebooks: true });
