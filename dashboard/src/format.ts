/** Numbers and times as people read them; times are UTC. */

const PRICE = new Intl.NumberFormat("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const FINE = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });
const WHOLE = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const MINUS = "−";

export const NONE = "–";

export function price(value: number): string {
  return (Math.abs(value) >= 1000 ? PRICE : FINE).format(value);
}

export function whole(value: number): string {
  return WHOLE.format(value);
}

export function percent(share: number | null | undefined, digits = 0): string {
  return share == null ? NONE : `${signless(share * 100, digits)} %`;
}

export function signed(value: number, digits: number): string {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? MINUS : "+"}${text}`;
}

function signless(value: number, digits: number): string {
  return value.toFixed(digits).replace("-", MINUS);
}

export function clock(time: number, seconds = false): string {
  return new Date(time).toISOString().slice(11, seconds ? 19 : 16);
}

export function day(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

/** A duration in its two largest units. */
export function span(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const parts: [number, string][] = [
    [Math.floor(whole / 86_400), "d"],
    [Math.floor(whole / 3_600) % 24, "h"],
    [Math.floor(whole / 60) % 60, "min"],
    [whole % 60, "s"],
  ];
  const first = parts.findIndex(([count]) => count > 0);
  if (first < 0) return "0 s";
  return parts
    .slice(first, first + 2)
    .filter(([count]) => count > 0)
    .map(([count, unit]) => `${count} ${unit}`)
    .join(" ");
}

export function horizon(minutes: number): string {
  return minutes === 60 ? "1 h" : `${minutes} min`;
}
