// What stays together at the end of a line.

// What must not be parted at the end of a line: a number and its unit, a mean and its interval.
const unit = "(?:[%±×]|(?:m|km|s|ms|min|h|MB|GB|TB|GB/s|Gflop/s|points|steps)(?![\\w-]))";
const afterNumber = new RegExp(`(?<=\\d) (?=${unit})`, "g");
const afterValue = new RegExp(`^ (?=${unit})`);
export const unbroken = (value) => value.replace(/ ([±×]) /g, "\u00a0$1\u00a0").replace(afterNumber, "\u00a0");

/** To the browser a formula is a box, beside which lines may break: not so before a full stop. */
export function tied(siblings) {
  const marks = siblings.map((node, index) => {
    const next = siblings[index + 1];
    const short = node.type === "inlineMath" && node.value.length < 40; // a long one must break in itself
    return short && next?.type === "text" ? /^(?:-\w+)?[.,;:!?)\]’”]*/.exec(next.value)[0] : "";
  });
  return siblings.map((node, index) => {
    if (marks[index]) return { type: "tied", children: [node, { type: "text", value: marks[index] }] };
    if (marks[index - 1]) return { ...node, value: node.value.slice(marks[index - 1].length) };
    const follows = ["inlineExpression", "inlineMath"].includes(siblings[index - 1]?.type);
    return follows && node.type === "text" ? { ...node, value: node.value.replace(afterValue, "\u00a0") } : node;
  });
}

const own = (node) => /^\((.+)\)$/.exec((node.children ?? []).map((child) => child.value ?? "").join(""))?.[1];

/** References to equations have brackets of their own, and need none where they stand in brackets: (4.2), not ((4.2)). */
export function unbracketed(siblings) {
  if (!siblings.some((node) => node.type === "crossReference" && own(node))) return siblings;
  const line = siblings.map((node) => (node.type === "text" ? node.value.replace(/[\ufffc\ufffd]/g, " ") : node.type === "crossReference" && own(node) ? "\ufffc" : "\ufffd"));
  const inBrackets = new Set();
  let at = 0;
  const starts = line.map((part) => (at += part.length) - part.length);
  for (const found of line.join("").matchAll(/\((?:\ufffc(?:, | and | or |; |–)?)+\)/g)) {
    siblings.forEach((node, index) => { if (line[index] === "\ufffc" && starts[index] > found.index && starts[index] < found.index + found[0].length) inBrackets.add(index); });
  }
  return siblings.map((node, index) => (inBrackets.has(index) ? { ...node, children: [{ type: "text", value: own(node) }] } : node));
}
