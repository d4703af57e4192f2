// The frame around every view: skip link, top bar with the state of the connection, theme, help; and the choice of the view by the route.

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { hrefTo, type Route } from "./address.ts";
import { Help } from "./help.tsx";
import { useKeys } from "./keys.ts";
import { connection } from "./live.ts";
import { route } from "./route.ts";
import { theme, toggleTheme } from "./theme.ts";
import { CompareView } from "./views/compare.tsx";
import { RunPages } from "./views/run-pages.tsx";
import { RunsView } from "./views/runs.tsx";

export function App() {
  const help = useSignal(false);
  useKeys({
    "?": () => {
      help.value = true;
    },
    t: toggleTheme,
    r: () => {
      location.hash = hrefTo([]);
    },
  });
  useFocusOnArrival();
  return (
    <>
      {/* biome-ignore lint/a11y/useValidAnchor: a link as readers of screens expect it; the address after "#" is the route */}
      <a class="skip" href="#main" onClick={skip}>
        Skip to the content
      </a>
      <header class="top">
        <a class="brand" href={hrefTo([])}>
          rzero
        </a>
        <Where route={route.value} />
        <div class="top-tools">
          <ConnectionState />
          <button
            type="button"
            onClick={toggleTheme}
            aria-label={`Change to the ${theme.value === "dark" ? "light" : "dark"} theme`}
          >
            {theme.value === "dark" ? "Light" : "Dark"}
          </button>
          <button
            type="button"
            aria-label="Keyboard help"
            onClick={() => {
              help.value = true;
            }}
          >
            ?
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <View route={route.value} />
      </main>
      <Help open={help} />
    </>
  );
}

function View({ route: { path } }: { readonly route: Route }) {
  const [kind, name] = path;
  if (kind === undefined) return <RunsView />;
  if (kind === "compare") return <CompareView />;
  if (kind === "run" && name !== undefined) return <RunPages key={name} name={name} />;
  return (
    <p class="state">
      There is no such place. <a href={hrefTo([])}>All runs</a>
    </p>
  );
}

function Where({ route: { path } }: { readonly route: Route }) {
  const [kind, name] = path;
  const here = kind === "run" ? name : kind === "compare" ? "compare" : undefined;
  return (
    <nav class="where" aria-label="Where you are">
      <a href={hrefTo([])} aria-current={here === undefined ? "page" : undefined}>
        Runs
      </a>
      {here !== undefined && <span aria-hidden="true">/</span>}
      {kind === "run" && here !== undefined && <a href={hrefTo(["run", here])}>{here}</a>}
      {kind === "compare" && <span>Compare</span>}
    </nav>
  );
}

const SAYS = { connecting: "Connecting …", live: "Live", reconnecting: "Reconnecting …" } as const;

function ConnectionState() {
  return (
    <span class={`connection connection-${connection.value}`} role="status">
      {SAYS[connection.value]}
    </span>
  );
}

/** The address after "#" is the route, so a skip link must move the focus itself. */
function skip(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

/** Another view begins where a reader expects it: at its top, with the focus on the content. */
function useFocusOnArrival(): void {
  const place = route.value.path.join("/");
  const before = useRef(place);
  useEffect(() => {
    if (before.current === place) return;
    before.current = place;
    scrollTo(0, 0);
    document.getElementById("main")?.focus({ preventScroll: true });
  }, [place]);
}
