// Reads {module, data, settings} and writes what the module computes for each setting, as JSON.
import { readFileSync, writeSync } from "node:fs";
import { answerFor, preparedFor } from "../../book/figures/toolkit/figure.mjs";

const { module, data, settings } = JSON.parse(readFileSync(0, "utf8"));
const parts = (await import(module)).default;
const prepared = preparedFor(parts, data); // once, as on a page
const text = JSON.stringify(settings.map((values) => answerFor({ ...parts, prepare: () => prepared }, data, values)));
for (let rest = Buffer.from(text); rest.length;) rest = rest.subarray(writeSync(1, rest));
