// Smells as colours: the same plane of hues as in `ScentPalette`, blended into the paper.
import { dot, norm } from "./numbers.mjs";

export const fromHex = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
export const toCss = (colour, alpha = 1) => `rgba(${colour.map((part) => Math.round(255 * part)).join(",")},${alpha})`;

/** A function from shares of the most, 0 to 1, to colours from paper to leaf, as `plotting.PAPER_TO_LEAF`. */
export function leafScale({ light, dark }, paper) {
  const scheme = paper === dark.paper ? dark : light;
  const [none, half, all] = ["paper", "half_leaf", "leaf"].map((name) => fromHex(scheme[name]));
  return (share) => {
    const [from, to, part] = share < 0.5 ? [none, half, 2 * share] : [half, all, 2 * share - 1];
    return from.map((value, i) => value + part * (to[i] - value));
  };
}

const times = (matrix, vector) => matrix.map((row) => dot(row, vector));

function inverse([[a, b, c], [d, e, f], [g, h, i]]) {
  const [A, B, C] = [e * i - f * h, f * g - d * i, d * h - e * g];
  const determinant = a * A + b * B + c * C;
  return [[A, c * h - b * i, b * f - c * e], [B, a * i - c * g, c * d - a * f], [C, b * g - a * h, a * e - b * d]]
    .map((row) => row.map((value) => value / determinant));
}

const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
const gamma = (part) => (part <= 0.0031308 ? 12.92 * part : 1.055 * part ** (1 / 2.4) - 0.055);

/** A function from the coordinates of a scent to its colour on paper, three parts from 0 to 1. */
export function scentColours(palette, paper) {
  const [toRgb, toCones] = [inverse(palette.rgb_to_cones), inverse(palette.cones_to_lab)];
  const nothing = times(palette.cones_to_lab, times(palette.rgb_to_cones, fromHex(paper).map(linear)).map(Math.cbrt));
  const { plane: [along, across], offset, radius: middle, chroma: most, lightness, saturation, full_strength: full } = palette;
  return (scent) => {
    const size = norm(scent);
    const [a, b] = [dot(along, scent) / (size || 1) + offset[0], dot(across, scent) / (size || 1) + offset[1]];
    const radius = Math.sqrt(a * a + b * b);
    const chroma = most * Math.tanh(radius / middle) / (radius || 1);
    const strength = 1 - Math.exp(-saturation * size / full);
    const mixed = (from, to) => from + strength * (to - from);
    const [L, A, B] = [mixed(nothing[0], lightness), mixed(nothing[1], chroma * a), mixed(nothing[2], chroma * b)];
    const cone = ([p, q, r]) => (p * L + q * A + r * B) ** 3;
    const [l, m, s] = [cone(toCones[0]), cone(toCones[1]), cone(toCones[2])];
    const part = ([p, q, r]) => gamma(Math.min(1, Math.max(0, p * l + q * m + r * s)));
    return [part(toRgb[0]), part(toRgb[1]), part(toRgb[2])];
  };
}
