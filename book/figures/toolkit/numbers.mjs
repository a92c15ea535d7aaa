// Small helpers for numbers and vectors, and how they are written.

export const clamp = (value, low, high) => Math.min(high, Math.max(low, value));
export const sum = (values) => values.reduce((total, value) => total + value, 0);
export const dot = (a, b) => { let total = 0; for (let i = 0; i < a.length; i += 1) total += a[i] * b[i]; return total; };
export const norm = (a) => Math.sqrt(dot(a, a));
export const minus = (a, b) => a.map((value, i) => value - b[i]);
export const distance = (a, b) => norm(minus(a, b));

/** A number with so many digits after the point, and a true minus. */
export function signed(value, digits = 0) {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

export const metres = (value, digits = 0) => `${signed(value, digits)} m`;

/** Where a place is, for those who hear it. */
export function spokenPlace([x, y]) {
  const along = (value, ahead, behind) => `${Math.abs(Math.round(value))} m ${value < 0 ? behind : ahead}`;
  return `${along(x, "right", "left")}, ${along(y, "up", "down")} of the middle`;
}

/** Centres of n × n cells of a square map, row by row from the bottom left, as `plotting.MapGrid.points`. */
export function gridPoints(halfWidth, n) {
  const centre = (index) => halfWidth * ((2 * index + 1) / n - 1);
  return Array.from({ length: n * n }, (_, index) => [centre(index % n), centre(Math.floor(index / n))]);
}
