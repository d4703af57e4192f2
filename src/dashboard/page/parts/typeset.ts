// KaTeX behind one function; this file and KaTeX's style sheet and fonts are a chunk that is loaded when the first mathematics is seen.
// HTML with MathML beside it: the fonts are served locally and look the same everywhere, and screen readers get the MathML; MathML alone
// would need a mathematical font that most systems lack. KaTeX sets most of its styles through CSSOM, which the content-security policy
// allows, but a few as attributes, which it forbids: those are taken from the tree before it becomes elements and set through CSSOM after.

import katex from "katex";
import "katex/dist/katex.min.css";

interface TreeNode {
  attributes?: Record<string, string>;
  children?: readonly TreeNode[];
  toNode(): HTMLElement;
}

/** Exported by KaTeX for those who need the tree; its types leave it out. */
const { __renderToDomTree: treeOf } = katex as unknown as {
  readonly __renderToDomTree: (source: string, options: object) => TreeNode;
};

const RENDER = {
  output: "htmlAndMathml",
  throwOnError: true,
  strict: "ignore",
  trust: false,
  maxExpand: 200,
  maxSize: 20,
} as const;
const MAX_LENGTH = 4_000;
/** Attribute that carries a style past the policy. */
const CARRIER = "data-style";

/** The typeset element, or undefined for what KaTeX does not know: its source is shown then. */
export function typeset(source: string, display: boolean): HTMLElement | undefined {
  if (source.length > MAX_LENGTH) return undefined;
  try {
    const tree = treeOf(source, { ...RENDER, displayMode: display });
    carryStyles(tree);
    const element = tree.toNode();
    for (const styled of element.querySelectorAll<HTMLElement>(`[${CARRIER}]`)) {
      styled.style.cssText = styled.getAttribute(CARRIER) ?? "";
      styled.removeAttribute(CARRIER);
    }
    return element;
  } catch {
    return undefined;
  }
}

function carryStyles({ attributes, children }: TreeNode): void {
  if (attributes?.style !== undefined) {
    attributes[CARRIER] = attributes.style;
    delete attributes.style;
  }
  for (const child of children ?? []) carryStyles(child);
}
