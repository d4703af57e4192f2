// Server-sent events on one response, with backpressure: events are gathered and written together, a writer waits until the client
// has taken what was written, and a client that takes nothing for long is dropped. Knows nothing of what is sent.

import type { ServerResponse } from "node:http";

const STALLED_MS = 60_000;
/** Gathered text of this length is written before more is gathered. */
const LARGEST_WRITE = 2 ** 16;

/** See the file header. The answer begins with the first write, so until then it can still become another one. */
export class EventStream {
  readonly #response: ServerResponse;
  #gathered = "";

  constructor(response: ServerResponse) {
    this.#response = response;
  }

  /** Gathers one event, with a name and an id where they are given; true when it is time to `flush`. */
  add(value: unknown, { event, id }: { readonly event?: string; readonly id?: string } = {}): boolean {
    if (event !== undefined) this.#gathered += `event: ${event}\n`;
    if (id !== undefined) this.#gathered += `id: ${id}\n`;
    this.#gathered += `data: ${JSON.stringify(value)}\n\n`;
    return this.#gathered.length >= LARGEST_WRITE;
  }

  /** Writes what was gathered; fulfilled when there is room for more, or the client has gone. */
  async flush(): Promise<void> {
    const text = this.#gathered;
    this.#gathered = "";
    if (text === "") return;
    this.#begin();
    if (!this.#response.destroyed && !this.#response.write(text)) await this.#room();
  }

  /** Writes what was gathered and OpenAI's last event, or none after an error, and ends the answer. */
  end(last: "[DONE]" | "" = "[DONE]"): void {
    this.#begin();
    this.#response.end(this.#gathered + (last === "" ? "" : `data: ${last}\n\n`));
  }

  /** Whether anything was written. */
  get begun(): boolean {
    return this.#response.headersSent;
  }

  #begin(): void {
    if (this.#response.headersSent) return;
    this.#response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
      "x-content-type-options": "nosniff",
    });
  }

  #room(): Promise<void> {
    const response = this.#response;
    return new Promise((resolve) => {
      const timer = setTimeout(() => response.destroy(), STALLED_MS);
      const go = () => {
        clearTimeout(timer);
        response.off("drain", go);
        response.off("close", go);
        resolve();
      };
      response.once("drain", go);
      response.once("close", go);
    });
  }
}
