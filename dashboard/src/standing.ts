/** How things stand, in one word and one sentence: the only place that decides it, and the only one that shows it. */

import { element, say } from "./elements";
import { clock, span } from "./format";
import type { Known, Live, Trouble } from "./live";

/** Without a watermark for longer than this the feed is silent (s); /health draws the line there too. */
const SILENT = 180;
const LATE = 150;

export interface Standing {
  kind: "" | "live" | "late" | "stale" | "down";
  name: string;
  words: string;
  /** What is shown can be trusted no more. */
  aged?: boolean;
}

export const LOADING: Standing = { kind: "", name: "Loading", words: "" };
export const KEYLESS: Standing = { kind: "", name: "No key yet", words: "" };
export const DOWN: Standing = { kind: "down", name: "API down", words: "The API cannot be reached. Trying again.", aged: true };
export const SIGNED: Standing = {
  kind: "late",
  name: "Not for browsers",
  words:
    "This deployment answers requests that are signed with IAM credentials (SigV4), which a page has none of. " +
    "Read it with python -m btc.client --sign, or deploy it without the setting signed.",
};

export interface Ages {
  /** Of the feed, and of the newest forecast (s); null where there is none. */
  alive_s: number | null;
  forecast_s: number | null;
}

export function standing({ known, trouble }: Live, ages: Ages): Standing {
  const since = known.answered ? ` Shown is what was known at ${clock(known.answered, true)} UTC.` : "";
  if (!trouble) return aging(known, ages);
  return trouble.parts ? incomplete(trouble.parts, known, ages) : troubled(trouble, since);
}

/** Where all that is asked for is answered: what its age tells. */
function aging(known: Known, { alive_s, forecast_s }: Ages): Standing {
  if (!known.bars) return LOADING;
  if (alive_s === null) return { kind: "late", name: "No feed yet", words: "The feed has not been heard of yet. Its first minutes are on their way." };
  if (alive_s > SILENT) return { kind: "stale", name: "Stale", words: `The feed has been silent for ${span(alive_s)}. Price and forecasts are as old as that.`, aged: true };
  if (!known.forecasts) return LOADING;
  if (forecast_s === null) return { kind: "late", name: "No forecasts", words: "The feed is alive, but no forecast has been made yet." };
  if (forecast_s > LATE) return { kind: "late", name: "Late", words: `The feed is alive, but the newest forecast is ${span(forecast_s)} old.` };
  return { kind: "live", name: "Live", words: "" };
}

/** Age is graver than a part that cannot be read; but what is not read tells nothing of the feed. */
function incomplete(parts: NonNullable<Trouble["parts"]>, known: Known, ages: Ages): Standing {
  const words = `Cannot be read just now: ${parts.join(", ")}. Trying again.`;
  const told = aging(known, ages);
  const unread = parts.includes(told.name === "Stale" || told.name === "No feed yet" ? "prices" : "forecasts");
  if (told.words && !unread) return { ...told, words: `${told.words} ${words}` };
  return { kind: "late", name: "Incomplete", words, aged: told.words !== "" };
}

function troubled({ kind, words }: Trouble, since: string): Standing {
  switch (kind) {
    case "down":
      return { ...DOWN, words: DOWN.words + since };
    case "spent":
      return { kind: "late", name: "Quota used up", words: `${words} Asking again later.${since}`, aged: true };
    case "busy":
      return { kind: "late", name: "Slowed down", words: `This key asks too often just now. Waiting as told.${since}`, aged: true };
    default:
      return { kind: "late", name: "Refused", words: `${words}${since}`, aged: true };
  }
}

export function tell({ kind, name, words, aged = false }: Standing): void {
  const status = element("status");
  const banner = element("banner");
  // Its seconds pass too fast to be read aloud each time: it is, once, when the kind of trouble changes.
  if (status.dataset["kind"] !== kind || status.textContent !== name) say(element("alert"), words);
  status.dataset["kind"] = kind;
  say(status, name);
  banner.hidden = words === "";
  say(banner, words);
  document.body.classList.toggle("aged", aged);
}
