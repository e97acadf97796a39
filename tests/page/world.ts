/** What the page runs in, made by hand: a clock that goes when told to, a tab, an API and its channel. */

type Answer = [status: number, body: object, headers?: Record<string, string>];

export const START = Date.parse("2026-11-22T12:00:30Z");
const MINUTE = 60_000;

let clock = START;
let made = 0;
const timers = new Map<number, { at: number; run: () => void }>();
const watchers = new Set<() => void>();
const sockets: Socket[] = [];

class Socket {
  onopen?: () => void;
  onclose?: () => void;
  onmessage?: (message: { data: string }) => void;

  constructor() {
    sockets.push(this);
    setTimeout(() => this.onopen?.(), 5);
  }

  close(): void {
    setTimeout(() => this.onclose?.(), 5);
  }
}

/** What was asked for, as path and query. */
export const asked: { at: number; path: string }[] = [];
/** Answers instead of the API's own, to the paths that a pattern fits. */
export const instead = new Map<RegExp, () => Answer>();
export const feed = { alive: (): number => clock };
const page = { hidden: false, addEventListener: (_: string, run: () => void) => watchers.add(run), removeEventListener: (_: string, run: () => void) => watchers.delete(run) };

Object.assign(globalThis, {
  document: page,
  location: { href: "http://api.example/live/" },
  WebSocket: Socket,
  setTimeout: (run: () => void, wait = 0) => (timers.set(++made, { at: clock + wait, run }), made),
  clearTimeout: (timer: number) => timers.delete(timer),
  fetch: (url: URL) => answered(url),
});
Date.now = () => clock;
Math.random = () => 0.5;
AbortSignal.timeout = () => new AbortController().signal;

export function at(text: string): number {
  return Date.parse(`2026-11-22T${text}Z`);
}

/** Lets time pass, and all that falls into it happen. */
export async function until(time: number): Promise<void> {
  await settled();
  for (;;) {
    const [next] = [...timers].filter(([, { at }]) => at <= time).toSorted(([, one], [, other]) => one.at - other.at);
    if (!next) break;
    timers.delete(next[0]);
    clock = Math.max(clock, next[1].at);
    next[1].run();
    await settled();
  }
  clock = time;
}

export async function pass(span: number): Promise<void> {
  await until(clock + span);
}

export async function turn(hidden: boolean): Promise<void> {
  page.hidden = hidden;
  for (const run of [...watchers]) run();
  await settled();
}

export async function push(): Promise<void> {
  sockets.at(-1)?.onmessage?.({ data: JSON.stringify(newest()) });
  await settled();
}

export function hangUp(): void {
  sockets.at(-1)?.close();
}

/** Long enough for every promise that nothing but another promise waits for. */
async function settled(): Promise<void> {
  for (let turns = 0; turns < 60; turns++) await Promise.resolve();
}

async function answered(url: URL): Promise<unknown> {
  const path = url.pathname.replace("/live/", "") + url.search;
  asked.push({ at: clock, path });
  const other = [...instead].find(([pattern]) => pattern.test(path));
  const [status, body, headers = {}] = other ? other[1]() : told(url);
  const date = new Date(clock).toUTCString();
  return { ok: status === 200, status, headers: new Headers({ date, ...headers }), json: async () => body };
}

function told(url: URL): Answer {
  const [path, start] = [url.pathname, url.searchParams.get("start") ?? ""];
  if (path.includes("/bars/")) return [200, { as_of: iso(feed.alive()), bars: bars(Date.parse(start)) }];
  if (path.endsWith("/live")) return [200, { url: "ws://channel.example/live?ticket=t" }];
  if (path.endsWith("/history")) return [200, { forecasts: [] }];
  if (path.includes("/scores/")) return [200, { as_of: null, horizons: [] }];
  if (path.endsWith("/current")) return [200, { model_version: null, baseline: true }];
  return [200, newest()];
}

/** One each minute, closed and proven as soon as it is over. */
function bars(start: number): object[] {
  const found = [];
  for (let time = start - (start % MINUTE); time <= clock; time += MINUTE) {
    const over = time + MINUTE <= clock;
    found.push({ start: iso(time), open: 1, high: 1, low: 1, close: 1, closed: over, complete: over, source: "trades" });
  }
  return found;
}

function newest(): object {
  const as_of = iso(clock - (clock % MINUTE));
  return { as_of, staleness_s: 1, forecasts: [{ horizon: 1, as_of, model_version: "m", quantiles: {} }] };
}

function iso(time: number): string {
  return new Date(time).toISOString().replace(/\.\d+/, "");
}
