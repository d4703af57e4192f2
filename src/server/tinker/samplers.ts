// Frozen weights that a Tinker server samples from: opened when a request needs them, kept while they are used, closed when many others
// were used since. Each gets a live sampler, so that requests share its running batch; its cache is freed when it has been idle.
// Knows directories and the engine's faces, no protocol.

import type { Engine, LiveSampler, Snapshot } from "../../engine/types.ts";

interface Opened {
  readonly snapshot: Promise<Snapshot>;
  live?: Promise<LiveSampler>;
  users: number;
  lastUsed: number;
  idle?: NodeJS.Timeout;
}

/** Live sampler of some weights while a request needs it. */
export interface Held {
  readonly live: LiveSampler;
  release(): void;
}

export interface SamplerOptions {
  /** Weights in memory at once; more while they all are in use. */
  readonly maxOpen: number;
  /** Memory of keys and values of each; default: the engine's. */
  readonly cacheBytes?: number;
}

const IDLE_MS = 3000;
const REPORT_MS = 5;

/** See the file header. */
export class SamplerPool {
  readonly #engine: Engine;
  readonly #options: SamplerOptions;
  readonly #opened = new Map<string, Opened>();
  #clock = 0;

  constructor(engine: Engine, options: SamplerOptions) {
    this.#engine = engine;
    this.#options = options;
  }

  /** Weights that are in memory already, under the directory where they were saved. */
  adopt(dir: string, snapshot: Snapshot): void {
    void this.drop(dir);
    this.#add(dir, Promise.resolve(snapshot));
  }

  /** A live sampler of the weights in `dir`; release it when its request is done. Errors: DataError, EngineError. */
  async acquire(dir: string): Promise<Held> {
    const opened = this.#opened.get(dir) ?? this.#add(dir, this.#engine.openSnapshot(dir));
    opened.users++;
    opened.lastUsed = ++this.#clock;
    clearTimeout(opened.idle);
    try {
      opened.live ??= this.#openLive(opened);
      const live = await opened.live;
      return { live, release: () => this.#release(opened) };
    } catch (error) {
      opened.users--;
      if (this.#opened.get(dir) === opened) void this.drop(dir);
      throw error;
    }
  }

  /** Closes the weights of a directory, if they are open; requests in progress fail. */
  async drop(dir: string): Promise<void> {
    const opened = this.#opened.get(dir);
    this.#opened.delete(dir);
    if (opened !== undefined) await close(opened);
  }

  async dispose(): Promise<void> {
    await Promise.all([...this.#opened.keys()].map((dir) => this.drop(dir)));
  }

  #add(dir: string, snapshot: Promise<Snapshot>): Opened {
    const opened: Opened = { snapshot, users: 0, lastUsed: ++this.#clock };
    // Who uses it hears of a failure.
    snapshot.catch(() => {});
    this.#opened.set(dir, opened);
    this.#closeOldest();
    return opened;
  }

  async #openLive(opened: Opened): Promise<LiveSampler> {
    const snapshot = await opened.snapshot;
    if (snapshot.openLive === undefined) throw new Error("internal: an engine without live sampling");
    const live = await snapshot.openLive({ reportMs: REPORT_MS, cacheBytes: this.#options.cacheBytes });
    // A session that failed is opened anew by the next request.
    void live.ended.then(() => {
      opened.live = undefined;
    });
    return live;
  }

  #release(opened: Opened): void {
    if (--opened.users > 0) return;
    this.#closeOldest();
    const { live } = opened;
    opened.idle = setTimeout(() => {
      opened.live = undefined;
      void live?.then((sampler) => sampler.dispose()).catch(() => {});
    }, IDLE_MS);
    opened.idle.unref();
  }

  #closeOldest(): void {
    const idle = [...this.#opened].filter(([, { users }]) => users === 0).sort(([, a], [, b]) => a.lastUsed - b.lastUsed);
    const surplus = this.#opened.size - this.#options.maxOpen;
    for (const [dir] of idle.slice(0, Math.max(0, Math.min(surplus, idle.length - 1)))) void this.drop(dir);
  }
}

async function close({ snapshot, live, idle }: Opened): Promise<void> {
  clearTimeout(idle);
  try {
    await (await live)?.dispose();
    await (await snapshot).dispose();
  } catch {
    // What never opened, or whose engine has ended, needs no closing.
  }
}
