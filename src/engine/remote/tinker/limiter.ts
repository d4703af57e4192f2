// How many requests are under way at once: as many as the server takes without complaint. Knows no request.

/** Halves at a refusal, grows by one after as many successes as are allowed at once. */
export class Limiter {
  readonly #most: number;
  readonly #refusals: () => number;
  #limit: number;
  #seen: number;
  #successes = 0;

  /** Between 1 and `most`; `refusals` counts how often the server has said that it is too busy. */
  constructor(most: number, refusals: () => number) {
    this.#most = most;
    this.#limit = most;
    this.#refusals = refusals;
    this.#seen = refusals();
  }

  /** Requests that may be under way now. */
  get limit(): number {
    return this.#limit;
  }

  /** Does all jobs, those that are first come first. Errors: the first one, when no job is under way any more. */
  async all<T>(jobs: readonly T[], work: (job: T) => Promise<void>): Promise<void> {
    let next = 0;
    let running = 0;
    let failure: { error: unknown } | undefined;
    await new Promise<void>((resolve) => {
      const more = () => {
        while (failure === undefined && next < jobs.length && running < this.#limit) {
          running++;
          work(jobs[next++])
            .then(
              () => this.#learn(),
              (error) => {
                failure ??= { error };
              },
            )
            .finally(() => {
              running--;
              more();
            });
        }
        if (running === 0 && (failure !== undefined || next === jobs.length)) resolve();
      };
      more();
    });
    if (failure !== undefined) throw (failure as { error: unknown }).error;
  }

  #learn(): void {
    const refusals = this.#refusals();
    if (refusals > this.#seen) {
      this.#seen = refusals;
      this.#successes = 0;
      this.#limit = Math.max(1, Math.floor(this.#limit / 2));
    } else if (++this.#successes >= this.#limit && this.#limit < this.#most) {
      this.#successes = 0;
      this.#limit++;
    }
  }
}
