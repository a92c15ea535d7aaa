// Small helpers. Browsers may forbid storage; then nothing is remembered, and nothing fails.

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function store(storage, key, value) {
  try { window[storage].setItem(key, JSON.stringify(value)); } catch { /* forbidden or full */ }
}

export function stored(storage, key) {
  try { return JSON.parse(window[storage].getItem(key)); } catch { return null; }
}

/** The place that the end of an address names; what is not well written there is taken as it is. */
export function placeOf(hash) {
  try { return decodeURIComponent(hash.slice(1)); } catch { return hash.slice(1); }
}

export const targetOf = (hash) => (hash.length > 1 ? document.getElementById(placeOf(hash)) : null);
