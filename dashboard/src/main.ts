/** The page: asks for a key, then shows what is known and tells plainly what is not. */

import { Candles } from "./candles";
import { hourly } from "./change";
import { Client, TooManyError, UnreachableError } from "./client";
import { choices, element, make, say } from "./elements";
import { feedCard, modelCard } from "./facts";
import { clock, horizon, NONE, percent, price, signed } from "./format";
import { ask, forget, kept } from "./key";
import { INTERVALS, Live, type Interval, type Market } from "./live";
import { Outlook } from "./outlook";
import { TrackRecord } from "./record";
import { reliability } from "./reliability";
import { skill, windows } from "./skill";
import { DOWN, KEYLESS, LOADING, SIGNED, standing, tell, type Standing } from "./standing";
import { follow } from "./theme";
import type { Contract, Health } from "./types";

const AGAIN = 5_000;

const chosen = { horizon: 15, interval: "1m" as Interval, days: 7 };
let market: Market = { venue: "", symbol: "" };
let client = new Client("");
let live: Live | null = null;
/** How things stand while nothing is asked for. */
let opening: Standing = LOADING;
let told = "";

const candles = new Candles(element("candles"));
const record = new TrackRecord(element("record"));
const outlook = new Outlook(element("horizons"), chosen.horizon, (minutes) => {
  chosen.horizon = minutes;
  live?.look(chosen.horizon, chosen.interval);
  show();
});

choices(element("intervals"), "interval", Object.keys(INTERVALS).map((name) => [name, name]), chosen.interval, (name) => {
  chosen.interval = name as Interval;
  live?.look(chosen.horizon, chosen.interval);
});
choices(element("days"), "days", [["1", "1 day"], ["7", "7 days"], ["30", "30 days"]], `${chosen.days}`, (days) => {
  chosen.days = Number(days);
  show();
});
element("forget").addEventListener("click", () => {
  forget();
  void begin("");
});

async function begin(why: string): Promise<void> {
  live?.stop();
  live = null;
  const key = kept();
  if (key && !why) watch(key);
  else if (await asksToSign()) opening = SIGNED;
  else {
    opening = KEYLESS;
    ask(why, watch);
  }
  show();
}

/** Whether a key alone opens nothing here: the API's own document tells. */
async function asksToSign(): Promise<boolean> {
  try {
    const { components } = await client.get<Contract>("openapi.json");
    return "signature" in components.securitySchemes;
  } catch {
    return false; // then what a key is answered with will tell
  }
}

function watch(key: string): void {
  client = new Client(key);
  live?.stop();
  live = new Live(client, market, chosen, () => {
    if (live?.trouble?.kind === "key") {
      forget();
      void begin("This key was not accepted. Check that it is whole, and that it has not been revoked.");
    } else show();
  });
}

/** The markets are told to anybody; the first of them is shown. */
async function find(): Promise<void> {
  try {
    const { feed_age_s } = await client.get<Health>("health");
    const [venue, symbol] = (Object.keys(feed_age_s)[0] ?? "").split(":");
    market = { venue: venue ?? "", symbol: symbol ?? "" };
    say(element("symbol"), market.symbol);
    say(element("venue"), market.venue);
    document.title = `${market.symbol} · Predict Bitcoin Price`;
    await begin("");
  } catch (error) {
    const busy = error instanceof TooManyError;
    const words = error instanceof Error ? error.message : String(error);
    opening = error instanceof UnreachableError ? DOWN : { kind: "late", name: busy ? "Slowed down" : "Refused", words };
    tick();
    setTimeout(() => void find(), busy ? error.wait : AGAIN);
  }
}

const held = new Map<string, unknown[]>();

/** Whether anything that a part of the page is made of has changed since it was last made. */
function changed(part: string, ...made: unknown[]): boolean {
  const before = held.get(part);
  held.set(part, made);
  return !before || made.some((value, place) => value !== before[place]);
}

function show(): void {
  const known = live?.known;
  outlook.show(known?.forecasts ?? null);
  showPrice();
  showChart();
  showRecord();
  showScores();
  showCards();
  tick();
}

function showPrice(): void {
  const bars = live?.known.bars ?? [];
  const last = bars.at(-1);
  element("price").classList.toggle("skeleton", !live?.known.bars);
  if (!last) return say(element("price"), live?.known.bars ? NONE : "");
  say(element("price"), price(last.close));
  document.title = `${price(last.close)} · ${market.symbol}`;
  const moved = live?.known.interval === "1m" ? hourly(bars) : null;
  say(element("change"), moved === null ? "" : `${signed(moved * 100, 2)} % in an hour`);
  element("change").className = (moved ?? 0) < 0 ? "down" : "up";
  const newest = live?.known.forecasts?.find((each) => each.horizon === chosen.horizon);
  // Once a minute, not with every trade: this is read aloud.
  if (newest && newest.as_of !== told) {
    told = newest.as_of;
    const [low, high] = [newest.quantiles["0.05"] ?? 0, newest.quantiles["0.95"] ?? 0];
    say(element("aloud"), `${market.symbol} ${price(newest.reference_price)} at ${clock(Date.parse(newest.as_of))}. In ${horizon(newest.horizon)}, 90 %: ${price(low)} to ${price(high)}.`);
  }
}

function showChart(): void {
  const known = live?.known;
  empty("candles", !known?.bars ? "loading" : known.bars.length ? "" : "No bars yet: the feed has not sent a whole minute.");
  if (known?.bars?.length) candles.show(known.bars, known.forecasts ?? [], INTERVALS[known.interval]);
}

function showRecord(): void {
  const past = live?.known.past;
  if (!changed("record", past, chosen.horizon)) return;
  say(element("record-of"), `${horizon(chosen.horizon)} ahead`);
  const tally = past ? record.show(past) : { known: 0, covered: 0 };
  empty("record", !past ? "loading" : past.length ? "" : `No forecast ${horizon(chosen.horizon)} ahead has been made yet.`);
  const share = percent(tally.known ? tally.covered / tally.known : null);
  say(element("record-told"), tally.known ? `${tally.covered} of ${tally.known} prices fell within the 90 % interval: ${share}. Those outside are marked.` : past?.length ? "None of these has come due yet." : "");
}

function showScores(): void {
  const scores = live?.known.scores ?? null;
  if (!changed("scores", scores, chosen.horizon, chosen.days)) return;
  const sums = windows(scores, chosen.horizon).find((each) => each.days === chosen.days)?.overall;
  const none = make("p", "empty", `No forecast ${horizon(chosen.horizon)} ahead has come due yet. The first will after its time has passed.`);
  const waiting = make("p", "skeleton block");
  element("reliability").replaceChildren(...(!scores ? [waiting] : sums?.forecasts ? reliability(sums) : [none]));
  element("skill").replaceChildren(...(!scores ? [waiting.cloneNode()] : sums?.forecasts ? skill(scores, chosen.horizon) : [none.cloneNode(true)]));
  for (const place of document.querySelectorAll(".of-horizon")) say(place as HTMLElement, `${horizon(chosen.horizon)} ahead`);
}

function showCards(): void {
  const known = live?.known;
  const newest = known?.forecasts?.[0];
  if (!changed("model", known?.model, newest, chosen.horizon)) return;
  element("model").replaceChildren(known?.model ? modelCard(known.model, newest, chosen.horizon, client.now()) : make("p", "skeleton block"));
}

/** Places tell what they wait for, or why they are empty. */
function empty(name: string, why: string): void {
  const place = element(`${name}-empty`);
  place.hidden = why === "";
  place.classList.toggle("skeleton", why === "loading");
  say(place, why === "loading" ? "" : why);
}

/** What time alone changes: ages, and with them whether what is shown can still be trusted. */
function tick(): void {
  const known = live?.known;
  if (!live || !known) return tell(opening);
  const now = client.now();
  const alive_s = known.alive === null ? null : (now - known.alive) / 1000;
  const newest = known.forecasts?.[0];
  const forecast_s = newest ? (now - Date.parse(newest.as_of)) / 1000 : null;
  element("feed").replaceChildren(
    known.bars ? feedCard({ alive_s, forecast_s, answered: known.answered, pushed: live.pushed, bars: known.bars, minutes: INTERVALS[known.interval] }) : make("p", "skeleton block"),
  );
  tell(standing(live, { alive_s, forecast_s }));
}

follow(() => {
  candles.recolour();
  record.recolour();
});
setInterval(tick, 1_000);
void find();
