/** Parts of the document, found by name or made. */

export function element<T extends HTMLElement = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`index.html has no element #${id}`);
  return found as T;
}

export function make(tag: string, classes = "", ...content: (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  made.className = classes;
  made.append(...content);
  return made;
}

export function svg(tag: string, attributes: Record<string, string | number>, ...content: (Node | string)[]): SVGElement {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, String(value));
  made.append(...content);
  return made;
}

/** Only where it differs, so that a screen reader is not told the same again. */
export function say(target: HTMLElement, text: string): void {
  if (target.textContent !== text) target.textContent = text;
}

/** A row of choices of which one holds; `chosen` hears of a change. */
export function choices(place: HTMLElement, name: string, options: [string, string][], value: string, chosen: (value: string) => void): void {
  for (const [option, label] of options) {
    const input = document.createElement("input");
    input.type = "radio";
    input.name = name;
    input.value = option;
    input.checked = option === value;
    input.addEventListener("change", () => chosen(option));
    place.append(make("label", "", input, make("span", "", label)));
  }
}
