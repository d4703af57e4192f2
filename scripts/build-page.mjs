// Builds src/dashboard/page/ to dist/dashboard/page/ with vite: hashed files under assets/, no inline script, style or data: URL, so that
// the page runs under a strict content-security policy. What others wrote and the page carries is named in licences.txt.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Packages whose code goes to the browser. */
const CARRIED = ["preact", "@preact/signals", "@preact/signals-core", "uplot", "katex"];

/** True when the page was built or cannot be built here, which is told; false when the build failed. */
export async function buildPage(root) {
  if (!existsSync(join(root, "node_modules", "vite", "package.json"))) return true;
  const [major, minor] = process.versions.node.split(".").map(Number);
  if (major < 20 || (major === 20 && minor < 19)) {
    console.error(`build: expected Node 20.19 or newer for the page of rzero ui, got ${process.versions.node}. It is left out.`);
    return true;
  }
  const { build } = await import("vite");
  try {
    await build(configuration(root));
    return true;
  } catch (error) {
    console.error(`build: the page failed. ${error instanceof Error ? error.message : error}`);
    return false;
  }
}

function configuration(root) {
  return {
    configFile: false,
    logLevel: "warn",
    root: join(root, "src", "dashboard", "page"),
    base: "./",
    publicDir: false,
    esbuild: { jsx: "automatic", jsxImportSource: "preact", legalComments: "none" },
    plugins: [woff2Only(), licences(root)],
    build: {
      outDir: join(root, "dist", "dashboard", "page"),
      emptyOutDir: true,
      target: "es2022",
      assetsInlineLimit: 0,
      modulePreload: { polyfill: false },
      reportCompressedSize: false,
    },
  };
}

/** Every browser that can run the page reads woff2: the older forms of KaTeX's fonts stay away. */
function woff2Only() {
  return {
    name: "woff2-only",
    enforce: "pre",
    transform(code, id) {
      if (!id.endsWith("katex.min.css")) return undefined;
      return code.replace(/,url\([^)]*\.(?:woff|ttf)\)\s*format\("(?:woff|truetype)"\)/g, "");
    },
  };
}

function licences(root) {
  return {
    name: "licences",
    generateBundle() {
      const parts = CARRIED.map((name) => {
        const dir = join(root, "node_modules", name);
        const { version } = JSON.parse(readFileSync(join(dir, "package.json"), "utf8"));
        return `${name} ${version}\n\n${readFileSync(join(dir, "LICENSE"), "utf8").trim()}\n`;
      });
      this.emitFile({ type: "asset", fileName: "licences.txt", source: parts.join(`\n${"-".repeat(72)}\n\n`) });
    },
  };
}
