// Lays the paper's document out before it is printed; `tools/paper.py` runs this in the browser. Columns of the size of a
// page break where pages do, and can be measured: so figures find a place that leaves no hole, and references to what stands
// on the same page need no number.
(() => {
  const MM = 96 / 25.4;
  const page = { width: 124 * MM, height: 193 * MM, gap: 40 };
  const ROOM = 0.14; // of a page: what may stay empty above a figure
  const SMALLEST = 0.84; // to this a figure may shrink to find a place
  const LONG = 0.55; // of a page: tables that are longer may break
  const AROUND = 24; // pixels between blocks
  const TURNS = 3; // to find a place for a figure
  const ROUNDS = 5;

  const style = document.createElement("style");
  style.textContent = `
    article.measured { width: ${page.width}px; height: ${page.height}px; columns: auto ${page.width}px; column-gap: ${page.gap}px; column-fill: auto; }
    article.measured .solutions { break-before: column; }`;
  document.head.append(style);

  const columnOf = (x, left) => Math.floor((x - left + page.gap / 2) / (page.width + page.gap));

  /** Of a block, its parts on several pages together. */
  const heightOf = (block) => [...block.getClientRects()].reduce((sum, rect) => sum + rect.height, 0);

  /** Where a block begins and ends: columns, and heights within them. */
  function extent(block, article) {
    const origin = article.getBoundingClientRect();
    const rects = [...block.getClientRects()].filter((rect) => rect.height > 0);
    if (rects.length === 0) return null;
    const [first, last] = [rects[0], rects.at(-1)];
    return {
      from: columnOf(first.left + first.width / 2, origin.left), top: first.top - origin.top,
      to: columnOf(last.left + last.width / 2, origin.left), bottom: last.bottom - origin.top,
      height: heightOf(block),
    };
  }

  const isHeading = (block) => block.matches("h1, h2, h3, h4");
  const isAnchor = (block) => block.matches("span.place, style");

  /** A figure, and those that stand right after it. */
  function runOf(figure) {
    const run = [figure];
    while (run.at(-1).nextElementSibling?.matches("figure")) run.push(run.at(-1).nextElementSibling);
    return run;
  }

  /** Blocks that may go before figures which did not fit: text, formulas, code, up to the next figure; a heading only if need be. */
  function followers(figure, wanted, desperate) {
    const found = [];
    let [height, headings] = [0, 0];
    for (let next = figure.nextElementSibling; next && height < wanted; next = next.nextElementSibling) {
      if (next.matches("figure, .solutions, .exercise")) break;
      if (isHeading(next) && (!desperate || ++headings > 1)) break;
      found.push(next);
      height += heightOf(next);
    }
    while (found.length && isHeading(found.at(-1))) found.pop();
    return found;
  }

  /** A little smaller, and the figure stands where it was meant to. */
  function shrunk(figure, left) {
    const image = figure.querySelector("img");
    if (!image || image.dataset.shrunk) return false;
    const { width, height } = image.getBoundingClientRect();
    const over = heightOf(figure) + AROUND - left;
    if (over > (1 - SMALLEST) * height) return false;
    image.dataset.shrunk = "yes";
    image.style.width = `${(width * (height - Math.max(over, 0))) / height}px`;
    return true;
  }

  /** What comes after the figure goes before it, or a long table breaks. */
  function overtaken(figure, left) {
    const run = runOf(figure);
    const others = followers(run.at(-1), left, left > 0.4 * page.height);
    if (others.length > 0) others.at(-1).after(...run);
    else if (figure.matches(".table:not(.long)")) figure.classList.add("long");
    else return false;
    return true;
  }

  function settle(article) {
    const turnsOf = new Map(); // of each figure
    for (let round = 0; round < 150; round += 1) {
      const blocks = [...article.children].filter((block) => !isAnchor(block) && !block.matches(".solutions"));
      const extents = blocks.map((block) => extent(block, article));
      let changed = false;
      for (let index = 1; index < blocks.length && !changed; index += 1) {
        const [before, here] = [extents[index - 1], extents[index]];
        if (!before || !here || here.from === before.to) continue;
        const left = page.height - before.bottom;
        // A heading stays with what comes after it.
        const head = isHeading(blocks[index]) ? heightOf(blocks[index]) + AROUND : 0;
        const figure = blocks[index + (head ? 1 : 0)];
        const turns = turnsOf.get(figure) ?? 0;
        if (left < ROOM * page.height || !figure?.matches("figure") || turns === TURNS) continue;
        turnsOf.set(figure, turns + 1);
        changed = shrunk(figure, left - head) || overtaken(figure, left);
      }
      if (!changed) break;
    }
  }

  /** What is too wide for the page, as `[what, by how much]`; formulas and tables are set smaller until they fit. */
  function fit() {
    const wide = [];
    const right = (node) => Math.max(...[...node.querySelectorAll(".base, .tag, td, th")].map((part) => part.getBoundingClientRect().right));
    for (const node of document.querySelectorAll(".formula, .table-scroll, .outputs .html")) {
      const limit = node.closest("body").getBoundingClientRect().left + page.width + 1;
      for (let size = 100; size >= 70; size -= 5) {
        if (size < 100) node.style.fontSize = node.matches(".table-scroll") ? "" : `${size}%`;
        if (size < 100 && node.matches(".table-scroll")) node.firstElementChild.style.fontSize = `${7.8 * size / 100}pt`;
        if (right(node) <= limit) break;
        if (size === 70) wide.push([node.textContent.slice(0, 60), right(node) - limit]);
      }
    }
    return wide;
  }

  /** Find places for figures; the page of each place, and whether a reference leads to its own page. */
  function paginate() {
    const where = new Map(); // from each element that matters to its page
    let number = 0;
    for (const part of document.body.children) {
      number += 1;
      const nodes = [part, ...part.querySelectorAll("[id], [data-to]")];
      if (part.tagName !== "ARTICLE") {
        for (const node of nodes) where.set(node, number);
        if (part.matches(".contents-page")) number += Math.ceil(part.getBoundingClientRect().height / page.height) - 1;
        continue;
      }
      part.classList.add("measured");
      for (const table of part.querySelectorAll("figure.table")) if (heightOf(table) > LONG * page.height) table.classList.add("long");
      settle(part);
      const { left } = part.getBoundingClientRect();
      let column = 0;
      for (const node of nodes) {
        const [rect] = node.getClientRects();
        if (rect && node !== part) column = columnOf(rect.left + 1, left);
        where.set(node, number + column);
      }
      number += Math.max(Math.round((part.scrollWidth + page.gap) / (page.width + page.gap)), 1) - 1;
      part.classList.remove("measured");
    }
    const pages = {};
    for (const [node, at] of where) if (node.id) pages[node.id] = at;
    for (const node of document.querySelectorAll(".page-reference[data-to]")) node.dataset.near = pages[node.dataset.to] === where.get(node) ? "same" : "other";
    return pages;
  }

  /** Numbers take room, and so may move what they tell of: they are written until nothing moves, or nearly so. */
  function layOut() {
    const wide = fit();
    for (const node of document.querySelectorAll("[data-to]")) node.textContent = "p.\u00a0100";
    let pages = {};
    for (let round = 0; round < ROUNDS; round += 1) {
      const before = pages;
      pages = paginate();
      if (Object.keys(pages).every((name) => before[name] === pages[name])) break;
      write(pages);
    }
    return { pages, wide };
  }

  /** Write the numbers of pages; the places that are missing. */
  function write(pages) {
    const missing = [];
    for (const node of document.querySelectorAll("[data-to]")) {
      const at = pages[node.dataset.to];
      if (at === undefined) missing.push(node.dataset.to);
      node.textContent = node.dataset.near === "same" || at === undefined ? "" : node.matches(".page-number") ? `${at}` : `p.\u00a0${at}`;
    }
    return missing;
  }

  globalThis.paper = { fit, layOut, write };
})();
