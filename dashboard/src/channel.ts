/** What is pushed while somebody looks: a WebSocket that is opened with a ticket, and opened anew when it breaks. */

import { KeyRefusedError, RefusedError, TooManyError } from "./client";

const FIRST_WAIT = 1_000;
const LONGEST_WAIT = 60_000;

export class Channel {
  /** Since when (ms) it is open; null while it is not. */
  since: number | null = null;
  #socket: WebSocket | null = null;
  #timer: number | undefined;
  #failures = 0;
  /** Until when (ms) the API asked to be left alone. */
  #notBefore = 0;
  #stopped = false;
  #asking = false;

  /** `ticket` resolves to an address that opens once; `turned` is told when the channel opens or ends. */
  constructor(
    private readonly ticket: () => Promise<string>,
    private readonly told: (message: string) => void,
    private readonly turned: () => void,
  ) {
    document.addEventListener("visibilitychange", this.#seen);
    void this.#open();
  }

  stop(): void {
    this.#stopped = true;
    document.removeEventListener("visibilitychange", this.#seen);
    this.close();
  }

  /** Ends the connection; unless stopped or hidden, the next one is on its way. */
  close(): void {
    clearTimeout(this.#timer);
    this.#socket?.close();
  }

  async #open(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#stopped || this.#asking || this.#socket || document.hidden) return;
    const patience = this.#notBefore - Date.now();
    if (patience > 0) return void (this.#timer = setTimeout(() => void this.#open(), patience));
    this.#asking = true;
    try {
      this.#follow(new WebSocket(await this.ticket()));
    } catch (error) {
      // Where nothing is pushed, asking is all there is; what is wrong with a key, those who ask find out too.
      if (error instanceof KeyRefusedError || (error instanceof RefusedError && error.status === 404)) this.stop();
      else this.#again(error instanceof TooManyError ? error.wait : 0);
    } finally {
      this.#asking = false;
    }
  }

  #follow(socket: WebSocket): void {
    this.#socket = socket;
    if (this.#stopped || document.hidden) socket.close();
    socket.onopen = () => this.#turn(Date.now());
    socket.onmessage = ({ data }) => {
      // Not when it opens: one that is cut each time at once must not come back each time at once.
      this.#failures = 0;
      this.told(String(data));
    };
    socket.onclose = () => {
      this.#socket = null;
      if (this.since !== null) this.#turn(null);
      this.#again(0);
    };
  }

  #turn(since: number | null): void {
    this.since = since;
    this.turned();
  }

  /** By chance within a time that doubles: those who were cut together do not come back together. */
  #again(least: number): void {
    if (this.#stopped) return;
    this.#notBefore = Math.max(this.#notBefore, Date.now() + least);
    const most = Math.min(LONGEST_WAIT, FIRST_WAIT * 2 ** this.#failures++);
    this.#timer = setTimeout(() => void this.#open(), least + Math.random() * most);
  }

  readonly #seen = (): void => {
    if (document.hidden) this.close();
    else void this.#open();
  };
}
