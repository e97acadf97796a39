/** Asks the API that serves this page, and names what can go wrong. */

export class KeyRefusedError extends Error {}

/** No answer, or one that says the service has failed. */
export class UnreachableError extends Error {}

/** Asked too often, in the API's words; `wait` is in ms. */
export class TooManyError extends Error {
  constructor(
    words: string,
    readonly wait: number,
  ) {
    super(words);
  }
}

/** The service answered and refused, in its own words. */
export class RefusedError extends Error {
  constructor(
    words: string,
    readonly status: number,
  ) {
    super(words);
  }
}

/** The gateway's reason where a key is missing, unknown or revoked. */
const BAD_KEY = "INVALID_API_KEY";
const PATIENCE = 10_000;
/** ms to wait where nothing legible is said, and at the most: a longer timer ends at once. */
const WAIT = 5_000;
const LONGEST_WAIT = 86_400_000;

export class Client {
  /** Beside the page, whatever the stage or domain it is served under. */
  readonly #base = new URL(".", location.href);
  /** How far the service's clock is ahead of this machine's (ms). */
  #ahead = 0;

  constructor(readonly key: string) {}

  /** The service's time (ms). */
  now(): number {
    return Date.now() + this.#ahead;
  }

  /** The answer's JSON. An unchanged one is not sent again: the browser asks with the ETag it holds. */
  async get<T>(path: string, query: Record<string, string> = {}): Promise<T> {
    const url = new URL(path, this.#base);
    url.search = new URLSearchParams(query).toString();
    const headers: Record<string, string> = this.key ? { "x-api-key": this.key } : {};
    let answer: Response;
    try {
      answer = await fetch(url, {
        headers,
        cache: "no-cache",
        credentials: "omit",
        signal: AbortSignal.timeout(PATIENCE),
      });
      const date = Date.parse(answer.headers.get("date") ?? "");
      if (date) this.#ahead = date - Date.now();
      if (answer.ok) return (await answer.json()) as T;
    } catch {
      throw new UnreachableError("The API cannot be reached");
    }
    throw await refusal(answer, this.now());
  }
}

async function refusal(answer: Response, now: number): Promise<Error> {
  if (answer.status >= 500) return new UnreachableError(`The API failed (${answer.status})`);
  const problem = (await answer.json().catch(() => ({}))) as { detail?: string; reason?: string };
  // A firewall and a missing signature are answered with 403 too, and say nothing of the key.
  if (problem.reason === BAD_KEY) return new KeyRefusedError("The key was refused");
  const words = problem.detail ?? `The API refused (${answer.status})`;
  return answer.status === 429 ? new TooManyError(words, patience(answer.headers.get("retry-after"), now)) : new RefusedError(words, answer.status);
}

/** Retry-After as RFC 9110 has it, seconds or a date, in ms. */
function patience(asked: string | null, now: number): number {
  const wait = asked && /^\d+$/.test(asked.trim()) ? 1000 * Number(asked) : Date.parse(asked ?? "") - now;
  return Number.isNaN(wait) ? WAIT : Math.min(Math.max(wait, 1000), LONGEST_WAIT);
}
