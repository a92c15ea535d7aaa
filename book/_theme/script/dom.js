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

export const targetOf = (hash) => (hash.length > 1 ? document.getElementById(decodeURIComponent(hash.slice(1))) : null);
