// Server-sent events on one response, with backpressure: a writer waits until the client has taken what was sent, and a client
// that takes nothing for long is dropped. Knows nothing of what is sent.

import type { ServerResponse } from "node:http";

const STALLED_MS = 60_000;

/** See the file header. */
export class EventStream {
  readonly #response: ServerResponse;

  constructor(response: ServerResponse) {
    this.#response = response;
    response.writeHead(200, {
      "content-type": "text/event-stream; charset=utf-8",
      "cache-control": "no-cache",
      "x-accel-buffering": "no",
    });
    response.flushHeaders();
  }

  /** Sends one event; fulfilled when there is room for the next, or the client has gone. */
  async send(value: unknown): Promise<void> {
    await this.#write(`data: ${JSON.stringify(value)}\n\n`);
  }

  /** Sends the last event of OpenAI's streams. */
  async done(): Promise<void> {
    await this.#write("data: [DONE]\n\n");
    this.#response.end();
  }

  #write(text: string): Promise<void> | undefined {
    const response = this.#response;
    if (response.destroyed || response.write(text)) return undefined;
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
