/** Light or dark: the system's choice until somebody makes another. */

import { element } from "./elements";

const KEPT = "theme";
const DARK = matchMedia("(prefers-color-scheme: dark)");

export interface Colours {
  ink: string;
  muted: string;
  line: string;
  up: string;
  down: string;
  forecast: string;
  bands: [string, string, string];
}

export function colours(): Colours {
  const style = getComputedStyle(document.documentElement);
  const [ink, muted, line, up, down, forecast, outer, middle, inner] = [
    "ink", "muted", "line", "up", "down", "forecast", "band-90", "band-80", "band-50",
  ].map((name) => style.getPropertyValue(`--${name}`).trim()) as [string, string, string, string, string, string, string, string, string];
  return { ink, muted, line, up, down, forecast, bands: [outer, middle, inner] };
}

/** Follow the system and the button; `changed` hears of each change. */
export function follow(changed: () => void): void {
  const root = document.documentElement;
  const button = element("theme");
  const show = (): void => {
    const kept = localStorage.getItem(KEPT);
    const dark = kept ? kept === "dark" : DARK.matches;
    root.dataset["theme"] = dark ? "dark" : "light";
    button.setAttribute("aria-label", dark ? "Switch to light" : "Switch to dark");
    changed();
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEPT, root.dataset["theme"] === "dark" ? "light" : "dark");
    show();
  });
  DARK.addEventListener("change", show);
  show();
}
