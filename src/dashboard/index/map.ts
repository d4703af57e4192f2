// The map of a run's pools: every question gets a cluster, a sample of them a place on the plane. Made when the pools have changed, kept in
// the index. Knows the tables; how texts become points is embed.ts.

import { LineFiles } from "../../store/lines.ts";
import type { MapCluster, MapPoint } from "../api.ts";
import { Atlas, embed } from "./embed.ts";
import { objectOf } from "./ingest.ts";
import { idRange, placeName, placeOf } from "./schema.ts";
import type { SqlDatabase } from "./sqlite.ts";

/** What is kept of a map. */
export interface StoredMap {
  readonly points: readonly MapPoint[];
  readonly clusters: readonly MapCluster[];
  readonly total: number;
}

/** Questions that the axes are made from, and points that are shown, at most. */
const SAMPLE = 3000;
const MOST_CLUSTERS = 24;
const EXAMPLE_LENGTH = 300;
const PAGE = 5000;

interface PoolRow {
  readonly id: number;
  readonly path: string;
  readonly start: number;
  readonly bytes: number;
  readonly share: number | null;
  readonly verdict: string;
}

/** Makes a run's map, unless the one that is kept is right; true when it did. Errors: SQLite. */
export function updateMap(database: SqlDatabase, run: number, name: string): boolean {
  const made = fingerprint(database, run);
  const kept = database.prepare("SELECT made_from FROM maps WHERE run = ?").get(run) as { made_from: string } | undefined;
  if (kept?.made_from === made) return false;
  const map = new MapMaker(database, run, name).make();
  const write = database.prepare("INSERT OR REPLACE INTO maps VALUES (?, ?, ?)");
  write.run(run, made, JSON.stringify(map));
  return true;
}

/** Changes when the pools do. */
function fingerprint(database: SqlDatabase, run: number): string {
  const files = database.prepare("SELECT path, stamp FROM files WHERE run = ? AND kind = 'pool' ORDER BY path").all(run);
  return JSON.stringify(files);
}

class MapMaker {
  readonly #database: SqlDatabase;
  readonly #run: number;
  readonly #name: string;
  readonly #files = new LineFiles();

  constructor(database: SqlDatabase, run: number, name: string) {
    this.#database = database;
    this.#run = run;
    this.#name = name;
  }

  make(): StoredMap {
    try {
      const total = this.#count();
      const every = Math.max(1, total / SAMPLE);
      const sample: PoolRow[] = [];
      let next = 0;
      this.#eachRow((row, index) => {
        if (index < next) return;
        next += every;
        sample.push(row);
      });
      const texts = sample.map((row) => this.#textOf(row));
      const atlas = new Atlas(texts.map(embed), MOST_CLUSTERS);
      const clusters = this.#assign(atlas);
      return { ...this.#drawn(atlas, sample, texts, clusters), total };
    } finally {
      this.#files.close();
    }
  }

  /** Gives every question its cluster; sizes by cluster and iteration. */
  #assign(atlas: Atlas): Record<number, number>[] {
    const sizes = atlas.centres.map((): Record<number, number> => ({}));
    const set = this.#database.prepare("UPDATE questions SET cluster = ? WHERE id = ?");
    let open = 0;
    this.#eachRow((row) => {
      const { cluster } = atlas.clusterOf(atlas.project(embed(this.#textOf(row))));
      const { iteration } = placeOf(row.id);
      sizes[cluster][iteration] = (sizes[cluster][iteration] ?? 0) + 1;
      if (open === 0) this.#database.exec("BEGIN");
      set.run(cluster, row.id);
      if (++open === PAGE) {
        this.#database.exec("COMMIT");
        open = 0;
      }
    });
    if (open > 0) this.#database.exec("COMMIT");
    return sizes;
  }

  /** Points and clusters in the unit square; clusters by size. */
  #drawn(atlas: Atlas, sample: readonly PoolRow[], texts: readonly string[], sizes: readonly Record<number, number>[]) {
    const places = texts.map((text) => atlas.project(embed(text)));
    const scale = unitSquare([...places, ...atlas.centres]);
    const closest = atlas.centres.map(() => ({ distance: Number.POSITIVE_INFINITY, text: "" }));
    const points = sample.map(({ id, share, verdict }, index): MapPoint => {
      const { cluster, distance } = atlas.clusterOf(places[index]);
      if (distance < closest[cluster].distance) closest[cluster] = { distance, text: texts[index] };
      const place = placeOf(id);
      const { x, y } = scale(places[index]);
      return { id: placeName(this.#name, place), iteration: place.iteration, x, y, cluster, share: share ?? 0, verdict };
    });
    const clusters = atlas.centres.map((centre, cluster): MapCluster => {
      const example = closest[cluster].text.slice(0, EXAMPLE_LENGTH);
      return { cluster, example, ...scale(centre), sizes: sizes[cluster] };
    });
    const sizeOf = (cluster: MapCluster) => Object.values(cluster.sizes).reduce((sum, size) => sum + size, 0);
    return { points, clusters: clusters.filter((one) => sizeOf(one) > 0).sort((a, b) => sizeOf(b) - sizeOf(a)) };
  }

  #count(): number {
    const sql = "SELECT count(*) AS n FROM questions WHERE id >= ? AND id < ? AND source = 0 AND length > 0";
    return (this.#database.prepare(sql).get(...idRange(this.#run)) as { n: number }).n;
  }

  /** Questions of the pools in order, those with a text. */
  #eachRow(visit: (row: PoolRow, index: number) => void): void {
    const page = this.#database.prepare(
      `SELECT id, path, start, bytes, share, verdicts.name AS verdict FROM questions JOIN files USING (file) JOIN verdicts USING (verdict)
       WHERE id >= ? AND id < ? AND source = 0 AND length > 0 ORDER BY id LIMIT ${PAGE}`,
    );
    let [from, to] = idRange(this.#run);
    for (let index = 0; ; ) {
      const rows = page.all(from, to) as PoolRow[];
      for (const row of rows) visit(row, index++);
      if (rows.length < PAGE) return;
      from = rows[rows.length - 1].id + 1;
    }
  }

  #textOf({ path, start, bytes }: PoolRow): string {
    const question = objectOf(this.#files.read(path, start, bytes).toString("utf8"))?.question;
    return typeof question === "string" ? question : "";
  }
}

/** Maps the first two coordinates of points into the unit square, 4 digits. */
function unitSquare(points: readonly Float32Array[]): (point: Float32Array) => { x: number; y: number } {
  const span = (axis: 0 | 1) => {
    let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
    for (const point of points) [least, most] = [Math.min(least, point[axis]), Math.max(most, point[axis])];
    return { least, width: Math.max(most - least, 1e-6) };
  };
  const [across, up] = [span(0), span(1)];
  const at = (value: number, { least, width }: { least: number; width: number }) =>
    Math.round(((value - least) / width) * 1e4) / 1e4;
  return (point) => ({ x: at(point[0], across), y: at(point[1], up) });
}
