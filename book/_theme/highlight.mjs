// Syntax highlighting at build time: two colours for each token, and the stylesheet picks one.
import { toString } from "hast-util-to-string";
import { createHighlighter } from "shiki";

const languages = ["python", "bash", "yaml", "json", "toml", "markdown", "javascript", "html", "css", "latex", "bibtex"];
const aliases = { py: "python", python3: "python", ipython: "python", ipython3: "python", sh: "bash", shell: "bash", console: "bash", js: "javascript", md: "markdown", bib: "bibtex", tex: "latex", yml: "yaml" };
const names = { python: "Python", bash: "Shell", yaml: "YAML", json: "JSON", toml: "TOML", markdown: "Markdown", javascript: "JavaScript", html: "HTML", css: "CSS", latex: "LaTeX", bibtex: "BibTeX", mermaid: "Mermaid" };

const highlighter = await createHighlighter({ themes: ["github-light", "github-dark"], langs: languages });

// The themes are made for white and for black. On our paper these colours would fall short of a contrast of 4.5.
const stronger = {
  "github-light": { "#6a737d": "#465049", "#e36209": "#9a4a00", "#d73a49": "#b3243a", "#22863a": "#1a6a2e", "#28a745": "#1a6a2e", "#005cc5": "#0b51a8", "#1b7c83": "#156a70", "#dbab09": "#7a5c00" },
  "github-dark": { "#6a737d": "#adb8b0", "#ea4a5a": "#f58a94", "#008700": "#6cc07a" },
};

// Half of a page was the colours of its tokens, once each was written out. These have a class in the stylesheet instead;
// those that are like the text have nothing.
const classes = {
  "#24292e #e1e4e8": null, "#b3243a #f97583": "k1", "#0b51a8 #79b8ff": "k2", "#032f62 #9ecbff": "k3",
  "#9a4a00 #ffab70": "k4", "#6f42c1 #b392f0": "k5", "#465049 #adb8b0": "k6",
};

function shortened(node) {
  if (!node.children) return [node];
  const children = node.children.flatMap(shortened);
  if (node.properties?.class === "line") return children; // lines end where they end
  const colours = /^--shiki-light:(#\w+);--shiki-dark:(#\w+)$/.exec(node.properties?.style ?? "");
  const name = colours ? classes[`${colours[1]} ${colours[2]}`.toLowerCase()] : undefined;
  if (name === undefined) return [{ ...node, children }];
  // Operators are as quiet as brackets: what they join has the colours.
  if (name === "k1" && !/\w/.test(toString(node))) return children;
  return name ? [{ ...node, properties: { className: [name] }, children }] : children;
}

/** Name of a language as readers write it, or "" for plain text. */
export const languageName = (lang) => names[aliases[lang] ?? lang] ?? "";

/** The <code> element of highlighted source. */
export function highlight(source, lang) {
  const known = aliases[lang] ?? lang;
  const root = highlighter.codeToHast(source.replace(/\n$/, ""), {
    lang: known === "ansi" || languages.includes(known) ? known : "text",
    themes: { light: "github-light", dark: "github-dark" },
    defaultColor: false,
    colorReplacements: stronger,
  });
  return shortened(root.children[0].children[0])[0];
}
