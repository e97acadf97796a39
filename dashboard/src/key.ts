/** The API key: asked once, kept for as long as its tab is open. */

import { element, say } from "./elements";

const KEPT = "api-key";

export function kept(): string | null {
  return sessionStorage.getItem(KEPT);
}

export function forget(): void {
  sessionStorage.removeItem(KEPT);
}

/** Ask until one is given; `why` tells what was wrong with the last. */
export function ask(why: string, given: (key: string) => void): void {
  const dialog = element<HTMLDialogElement>("ask");
  const form = element<HTMLFormElement>("ask-form");
  const input = element<HTMLInputElement>("key");
  say(element("ask-error"), why);
  input.setAttribute("aria-invalid", String(why !== ""));
  form.onsubmit = (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (!key) return;
    sessionStorage.setItem(KEPT, key);
    input.value = "";
    dialog.close();
    given(key);
  };
  // Without a key there is nothing behind the dialog to go back to.
  dialog.oncancel = (event) => event.preventDefault();
  if (!dialog.open) dialog.showModal();
  input.focus();
}
