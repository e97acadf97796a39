/** Repeats a request while somebody looks: not in a hidden tab, and ever more slowly while it fails. */

import { TooManyError } from "./client";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;

export class Loop {
  #timer: number | undefined;
  /** When the next step is due (ms); Infinity while nothing is planned. */
  #due = Infinity;
  /** Until when (ms) the API asked to be left alone. */
  #notBefore = 0;
  #failures = 0;
  #retrying = false;
  #stopped = false;
  #round = 0;

  /** `step` resolves to how long to wait until the next (ms); what it throws goes to `failed`. */
  constructor(
    private readonly step: () => Promise<number>,
    private readonly failed: (error: unknown) => void,
  ) {
    document.addEventListener("visibilitychange", this.#seen);
    void this.now();
  }

  /** Take the next step at once, or as soon as the API takes it; an answer that is under way belongs to the past. */
  async now(): Promise<void> {
    const round = ++this.#round;
    clearTimeout(this.#timer);
    this.#due = Infinity;
    if (document.hidden || this.#stopped) return;
    if (this.#notBefore > Date.now()) return this.#plan(0);
    try {
      const wait = await this.step();
      if (round !== this.#round) return;
      this.#failures = 0;
      this.#retrying = false;
      if (this.#due === Infinity) this.#plan(wait); // else it was put off meanwhile
    } catch (error) {
      if (error instanceof TooManyError) this.#notBefore = Date.now() + error.wait;
      if (round !== this.#round) return;
      this.#retrying = true;
      const wait = error instanceof TooManyError ? error.wait : Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
      this.failed(error);
      this.#plan(Math.min(wait, this.#due - Date.now()));
    }
  }

  /** Put the next step off; an answer that is under way still counts, and what failed is tried again when it was to be. */
  later(wait: number): void {
    this.#plan(this.#retrying ? Math.min(wait, this.#due - Date.now()) : wait);
  }

  stop(): void {
    this.#stopped = true;
    ++this.#round;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  #plan(wait: number): void {
    clearTimeout(this.#timer);
    if (this.#stopped) return;
    const now = Date.now();
    this.#due = Math.max(now + wait, this.#notBefore);
    this.#timer = setTimeout(() => void this.now(), this.#due - now);
  }

  readonly #seen = (): void => {
    if (!document.hidden) void this.now();
  };
}

/** ms until a little after the next full minute, when its forecast may be there. */
export function untilMinute(now: number, after: number): number {
  return 60_000 - (now % 60_000) + after;
}
