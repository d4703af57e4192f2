// The part of the page's address after "#": segments and a query, read and written. Pure.

/** `#/run/tiny-001/questions?sort=share` is path ["run", "tiny-001", "questions"] with the query's keys. */
export interface Route {
  readonly path: readonly string[];
  readonly query: URLSearchParams;
}

/** Reads an address; a segment that is not valid percent-encoding stands as it is. */
export function parseRoute(text: string): Route {
  const [path = "", query = ""] = text.replace(/^#?\/?/, "").split("?", 2);
  return { path: path.split("/").filter(Boolean).map(decode), query: new URLSearchParams(query) };
}

function decode(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    return segment;
  }
}

/** Values of a query; undefined and "" leave a key out. */
export type Query = Readonly<Record<string, string | number | undefined>>;

/** The address of a place in the page. */
export function hrefTo(path: readonly string[], query: Query = {}): string {
  const given = Object.entries(query).filter(([, value]) => value !== undefined && value !== "");
  const search = new URLSearchParams(given.map(([key, value]) => [key, String(value)])).toString();
  return `#/${path.map(encodeURIComponent).join("/")}${search === "" ? "" : `?${search}`}`;
}
