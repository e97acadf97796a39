/** What happens to a page, and what it says then: `node scenes.js NAME` prints that as JSON. */

import { hourly } from "../../dashboard/src/change";
import { Client } from "../../dashboard/src/client";
import { proof } from "../../dashboard/src/facts";
import { Live } from "../../dashboard/src/live";
import { standing } from "../../dashboard/src/standing";
import type { Bar } from "../../dashboard/src/types";
import { asked, at, feed, hangUp, instead, pass, push, START, turn, until } from "./world";

declare const process: { argv: string[] };

const NEWEST = /forecasts\/BTC-USD\?/;
const FAILED = (): [number, object] => [500, {}];
const SPENT = (): [number, object, Record<string, string>] => [429, { detail: "Used up." }, { "retry-after": "3600" }];

class Watcher {
  readonly client = new Client("key");
  readonly live = new Live(this.client, { venue: "kraken", symbol: "BTC-USD" }, { horizon: 15, interval: "1m" }, () => {});

  tells(): { name: string; words: string; aged: boolean } {
    const { alive, forecasts } = this.live.known;
    const now = this.client.now();
    const age = (time: number | null | undefined): number | null => (time == null ? null : (now - time) / 1000);
    const newest = forecasts?.[0];
    const { name, words, aged = false } = standing(this.live, { alive_s: age(alive), forecast_s: age(newest && Date.parse(newest.as_of)) });
    return { name, words, aged };
  }

  get holes(): string[] {
    return proof(this.live.known.bars ?? [], 1).holes;
  }
}

async function watching(): Promise<Watcher> {
  const watcher = new Watcher();
  await pass(20_000);
  return watcher;
}

/** Each minute's forecast, a moment after it is over, from one minute of the hour to another. */
async function pushed(from: number, to: number): Promise<void> {
  for (let minute = from; minute < to; minute++) {
    await until(at("12:00:01") + minute * 60_000);
    await push();
  }
}

function since(time: number, pattern: RegExp): number {
  return asked.filter((each) => each.at > time && pattern.test(each.path)).length;
}

function minutes(starts: string[]): Bar[] {
  return starts.map((start, place) => ({ start, open: 100 + place, high: 0, low: 0, close: 200, closed: true, complete: true, source: "trades" }));
}

const SCENES: Record<string, () => Promise<unknown>> = {
  async one_failure() {
    const page = await watching();
    instead.set(NEWEST, FAILED);
    await until(at("12:01:20.500"));
    const failing = page.tells().name;
    await push();
    const lifted = page.tells().name;
    instead.clear();
    await pass(3_000);
    const again = since(at("12:01:20.500"), NEWEST);
    await pushed(2, 30);
    return { failing, lifted, again, later: page.tells().name, pushed: page.live.pushed };
  },

  async failure_under_way() {
    const page = await watching();
    let fail = (): void => {};
    const held = globalThis.fetch;
    await until(at("12:01:19"));
    globalThis.fetch = (() => new Promise((_, refuse) => (fail = () => refuse(new Error("cut"))))) as typeof fetch;
    await until(at("12:01:20.500"));
    await push();
    globalThis.fetch = held;
    fail();
    await pass(3_000);
    return { later: page.tells().name, again: since(at("12:01:20.500"), NEWEST) };
  },

  async api_down_while_pushed() {
    const page = await watching();
    instead.set(/./, FAILED);
    await pushed(1, 3);
    await pass(30_000);
    return page.tells().name;
  },

  async wait_and_push() {
    const page = await watching();
    instead.set(NEWEST, SPENT);
    await until(at("12:01:25"));
    const told = page.tells().name;
    await pushed(2, 50);
    return { told, asked: since(at("12:01:25"), NEWEST), later: page.tells().name };
  },

  async wait_and_look() {
    const page = await watching();
    instead.set(/./, SPENT);
    hangUp();
    await pass(11 * 60_000); // the last of all has asked once more, and been told
    const from = Date.now();
    for (let times = 0; times < 10; times++) {
      await turn(true);
      await pass(500);
      await turn(false);
      await pass(500);
    }
    page.live.look(5, "1m");
    await pass(60_000);
    const early = since(from, /./);
    const allowed = Date.now();
    instead.clear();
    await pass(3_600_000);
    return { early, later: page.tells().name, reopened: since(allowed, /\/live\?/) > 0, past: page.live.known.past !== null };
  },

  async silent_and_failing() {
    const page = await watching();
    const silent = Date.now();
    feed.alive = () => silent;
    instead.set(/scores/, FAILED);
    await pass(3_600_000);
    return page.tells();
  },

  async late_and_failing() {
    const page = await watching();
    hangUp();
    instead.set(/scores|\/live\?/, FAILED);
    instead.set(NEWEST, () => [200, { as_of: "2026-11-22T12:00:00Z", forecasts: page.live.known.forecasts ?? [] }]);
    await pass(600_000);
    return page.tells();
  },

  async prices_unread() {
    const page = await watching();
    instead.set(/bars/, FAILED);
    await pass(60_000);
    const first = page.tells();
    await pass(600_000);
    return { first, later: page.tells() };
  },

  async scores_unread() {
    const page = await watching();
    instead.set(/scores/, FAILED);
    await pass(200_000);
    return page.tells();
  },

  async hidden() {
    const page = await watching();
    await turn(true);
    await until(at("12:04:30"));
    await turn(false);
    await pass(1_000);
    return page.holes;
  },

  async first_read_of_an_open_minute() {
    const page = await watching();
    await until(at("12:01:01"));
    for (const bar of page.live.known.bars ?? []) if (bar.start >= "2026-11-22T12:00") Object.assign(bar, { closed: false, complete: false });
    await turn(true);
    await until(at("12:04:59"));
    await turn(false);
    await pass(500);
    return page.holes;
  },

  async firewall() {
    const page = await watching();
    const reason = "WAF_FILTERED";
    instead.set(/bars|\/live\?/, () => [403, { detail: "The firewall refuses this request", reason }]);
    hangUp();
    await pass(30_000);
    const refused = { kind: page.live.trouble?.kind, words: page.tells().words };
    instead.clear();
    await pass(60_000);
    return { ...refused, later: page.tells().name, pushed: page.live.pushed };
  },

  async unpublished() {
    const page = await watching();
    instead.set(/\/live\?/, () => [404, { detail: "nothing is pushed here" }]);
    hangUp();
    await pass(300_000);
    return { asked: since(START + 20_000, /\/live\?/), name: page.tells().name };
  },

  async bad_key() {
    const page = await watching();
    instead.set(/bars/, () => [403, { detail: "Send a valid API key", reason: "INVALID_API_KEY" }]);
    await pass(10_000);
    const from = Date.now();
    await pass(60_000);
    return { kind: page.live.trouble?.kind, asked: since(from, /./) };
  },

  async hours() {
    const last = "2026-11-22T12:00:00Z";
    return [[last], ["2026-11-22T11:30:00Z", last], ["2026-11-22T11:02:00Z", last], ["2026-11-22T11:01:00Z", last], ["2026-11-22T10:00:00Z", "2026-11-22T11:00:00Z", last], []].map((starts) => hourly(minutes(starts)));
  },
};

const [, , name = ""] = process.argv;
console.log(JSON.stringify(await SCENES[name]?.()));
