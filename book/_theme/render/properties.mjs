// The properties of nodes that are known, by kind. One that is not is an error, as an unknown kind is: nothing that an author
// asked for is dropped without a word. After the bar stand those that say nothing to a reader of this book.

/** Of every kind: its place and its names; classes and indices are put in `core.mjs`. */
const EVERYWHERE = "type children value key position identifier label html_id class indexEntries | implicit data indexed processed visibility id";

const KINDS = {
  abbreviation: "title",
  admonition: "kind open simple | icon",
  aside: "kind",
  block: "kind | part",
  captionNumber: "kind enumerator template",
  card: "url title | urlSource internal dataUrl protocol static error",
  cite: "kind enumerator prefix suffix | partial protocol url urlSource error",
  citeGroup: "kind",
  code: "lang executable showLineNumbers startingLineNumber emphasizeLines filename enumerator cellId isSetUp caption | enumerated meta",
  container: "kind enumerator source taken | enumerated noSubcontainers subcontainer parentEnumerator",
  crossReference: "kind url template enumerator internal resolved | remote remoteBaseUrl dataUrl urlSource protocol error",
  details: "open",
  embed: "source | remove-input remove-output",
  exercise: "enumerator enumerated hidden | gate",
  footnoteDefinition: "enumerator number",
  footnoteReference: "enumerator number",
  grid: "columns",
  heading: "depth enumerator | enumerated",
  html: "phrase",
  iframe: "src width title align | urlSource",
  image: "url alt width height align title | urlSource urlOptimized",
  include: "| file literal filter lang caption filename showLineNumbers startingLineNumber emphasizeLines lineNumberMatch",
  inlineExpression: "result number",
  inlineMath: "html",
  link: "url title internal static | urlSource dataUrl protocol kind enumerator error",
  linkBlock: "url title description thumbnail | urlSource internal dataUrl protocol static",
  list: "ordered start spread",
  listItem: "checked spread",
  math: "html enumerator | enumerated tight kind typst",
  mathGroup: "enumerator | enumerated",
  mystDirective: "name | args options",
  mystDirectiveError: "message",
  mystRole: "name | options",
  mystRoleError: "message",
  output: "jupyter_data alt expected touch",
  proof: "kind enumerator enumerated | gate",
  raw: "lang | tex typst",
  si: "number unit alt | units",
  solution: "hidden | gate",
  tabItem: "title selected sync",
  table: "align | width",
  tableCell: "header align colspan rowspan | width",
  tableRow: "symbol",
};

const names = (text) => text.split(/[\s|]+/).filter(Boolean);
const everywhere = names(EVERYWHERE);
const known = new Map(Object.entries(KINDS).map(([kind, text]) => [kind, new Set([...everywhere, ...names(text)])]));
const others = new Set(everywhere);

export function refuseUnknown(node) {
  for (const [name, value] of Object.entries(node)) {
    if (value === undefined || value === null || (known.get(node.type) ?? others).has(name)) continue;
    throw new Error(`the theme does not show the property "${name}" (${JSON.stringify(value)?.slice(0, 60)}) of a node of kind "${node.type}": leave it out, or add it to render/properties.mjs and show it`);
  }
}
