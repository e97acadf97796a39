/** Repeats a request while somebody looks: not in a hidden tab, and ever more slowly while it fails. */

import { TooManyError } from "./client";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 15_000;

export class Loop {
  #timer: number | undefined;
  #failures = 0;
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

  /** Take the next step at once; an answer that is under way belongs to the past. */
  async now(): Promise<void> {
    const round = ++this.#round;
    clearTimeout(this.#timer);
    if (document.hidden || this.#stopped) return;
    let wait: number;
    try {
      wait = await this.step();
      this.#failures = 0;
    } catch (error) {
      wait = error instanceof TooManyError ? error.wait : Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
      this.failed(error);
    }
    if (round === this.#round && !this.#stopped) this.#timer = setTimeout(() => void this.now(), wait);
  }

  /** Put the next step off; an answer that is under way still counts. */
  later(wait: number): void {
    ++this.#round;
    clearTimeout(this.#timer);
    if (!this.#stopped) this.#timer = setTimeout(() => void this.now(), wait);
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    document.removeEventListener("visibilitychange", this.#seen);
  }

  readonly #seen = (): void => {
    if (!document.hidden) void this.now();
  };
}

/** ms until a little after the next full minute, when its forecast may be there. */
export function untilMinute(now: number, after: number): number {
  return 60_000 - (now % 60_000) + after;
}
