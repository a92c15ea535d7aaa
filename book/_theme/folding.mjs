// Cells that are folded and show nothing hang on what they compute, so that one mark opens the code of one thing.

const codeOf = (block) => block.children?.find((child) => child.type === "code" && child.executable);
const isHidden = (block, part) => (part?.visibility ?? "show") === "hide" || block.visibility === "hide";

/** A cell of which a reader sees nothing but a mark that would open it. */
function isSilent(block) {
  const code = codeOf(block);
  if (!code || !isHidden(block, code) || block.visibility === "remove") return false;
  return block.children.every((child) => child === code || (child.type === "outputs" && (child.children ?? []).length === 0));
}

const carriesCode = (node) => node.type === "container" && ["figure", "table"].includes(node.kind);
const bears = new Set(["paragraph", "list", "table", "math", "blockquote", "admonition", "definitionList"]);

/**
 * Move each silent cell of a page to the figure, table or folded cell that follows, where its code joins theirs, or
 * behind the paragraph that follows, or into the solution that follows, for its code may give that away. Before a
 * heading, or a cell that is open, silent cells stay where they are, as one.
 */
export function hangCells(tree) {
  setUp(tree);
  const blocks = [];
  let silent = [];
  const hung = () => {
    const cells = silent;
    silent = [];
    return { type: "hungCells", children: cells };
  };
  for (const block of tree.children ?? []) {
    if (isSilent(block)) {
      silent.push(codeOf(block));
      continue;
    }
    if (silent.length) {
      const [target] = block.children ?? [];
      if (target && (carriesCode(target) || target.type === "solution")) target.children.push(hung());
      else if (target && bears.has(target.type)) block.children.splice(1, 0, hung());
      else if (codeOf(block)?.visibility === "hide" && block.visibility !== "hide") block.children.push(hung());
      else blocks.push({ type: "block", children: [hung()] });
    }
    blocks.push(block);
  }
  if (silent.length) blocks.push({ type: "block", children: [hung()] });
  tree.children = blocks;
}

/** The first cell of a chapter, if all that it does is to import and define, is its set-up, and folded. */
function setUp(tree) {
  const first = tree.children?.find((block) => codeOf(block));
  const code = first && codeOf(first);
  const prints = first?.children.some((child) => child !== code && (child.children ?? []).length > 0);
  if (!code || prints || code.visibility === "remove" || !/^(import|from) /m.test(code.value ?? "")) return;
  code.visibility = "hide";
  code.isSetUp = true;
}
