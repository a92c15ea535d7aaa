// Smells as colours: the same plane of hues as in `ScentPalette`, blended into the paper.
import { dot, norm } from "./numbers.mjs";

export const fromHex = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
export const toCss = (colour, alpha = 1) => `rgba(${colour.map((part) => Math.round(255 * part)).join(",")},${alpha})`;

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
  return (scent) => {
    const size = norm(scent);
    const plane = palette.plane.map((row, i) => dot(row, scent) / (size || 1) + palette.offset[i]);
    const radius = norm(plane);
    const chroma = palette.chroma * Math.tanh(radius / palette.radius) / (radius || 1);
    const full = [palette.lightness, chroma * plane[0], chroma * plane[1]];
    const strength = 1 - Math.exp(-palette.saturation * size / palette.full_strength);
    const lab = nothing.map((part, i) => part + strength * (full[i] - part));
    return times(toRgb, times(toCones, lab).map((part) => part ** 3)).map((part) => gamma(Math.min(1, Math.max(0, part))));
  };
}
