// What figures are drawn with: panels with axes in metres, discs, crosses, lines, hatching; crisp at any pixel ratio.
import { toCss } from "./colours.mjs";
import { signed } from "./numbers.mjs";

const SIDE_BY_SIDE = 560; // pixels of width from which panels stand beside each other
const [TITLE, TICKS, LEFT, GAP] = [26, 38, 50, 18];

export class Canvas {
  constructor(element, colours) {
    Object.assign(this, { element, context: element.getContext("2d"), colours, current: [] });
    if (!this.context) throw new Error("this browser draws no canvas");
  }

  /** Begin a new picture of a size in CSS pixels, with the colours of light or dark. */
  begin(width, height, scheme) {
    this.family = getComputedStyle(this.element).fontFamily;
    const ratio = globalThis.devicePixelRatio || 1;
    const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.element.width !== across || this.element.height !== down) Object.assign(this.element, { width: across, height: down });
    Object.assign(this, { width, height, ratio, scheme, current: [] });
    const { context } = this;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.fillStyle = this.colour("paper");
    context.fillRect(0, 0, across / ratio, down / ratio); // the last dots, too, where the size is no whole number
    context.lineJoin = "round";
  }

  /** A colour by its name in the state, or as it is written. */
  colour(name) {
    if (Array.isArray(name)) return toCss(name);
    return this.colours[this.scheme][name] ?? name;
  }

  font(size = 12, weight = 400) {
    return `${weight} ${size}px ${this.family}`;
  }

  /** Panels beside each other or, where it is narrow, below; of heights in proportion to `weight`. */
  panels(specs) {
    const beside = this.width >= SIDE_BY_SIDE && specs.length > 1;
    const weights = specs.map((spec) => spec.weight ?? 1);
    const total = weights.reduce((a, b) => a + b, 0);
    const length = (beside ? this.width : this.height) - GAP * (specs.length - 1);
    let at = 0;
    this.current = specs.map((spec, i) => {
      const share = length * weights[i] / total;
      const box = beside ? [at, 0, share, this.height] : [0, at, this.width, share];
      at += share + GAP;
      return new Panel(this, spec, box);
    });
    for (const panel of this.current) panel.axes();
    return this.current;
  }
}

const log = { to: Math.log, from: Math.exp };
const straight = { to: (value) => value, from: (value) => value };

/** Round numbers between two ends, so many that their labels have room. */
export function ticksBetween({ low, high, scale }, room) {
  if (scale === "log") {
    const found = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      for (const step of high / low > 200 ? [1] : high / low > 20 ? [1, 3] : [1, 2, 5]) found.push(step * 10 ** power);
    }
    return found.filter((value) => value >= low * 0.999 && value <= high * 1.001);
  }
  const wanted = (high - low) / Math.max(2, room);
  const power = 10 ** Math.floor(Math.log10(wanted));
  const step = [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= wanted * 0.999);
  const first = Math.ceil(low / step - 1e-9);
  return Array.from({ length: Math.floor(high / step + 1e-9) - first + 1 }, (_, i) => (first + i) * step);
}

const written = (value) => signed(value, value !== 0 && Math.abs(value) < 10 && !Number.isInteger(value) ? Math.min(4, Math.max(1, Math.ceil(-Math.log10(Math.abs(value))) + 1)) : 0).replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

export class Panel {
  constructor(canvas, spec, [x, y, width, height]) {
    const { context } = canvas;
    const isMap = spec.kind === "map";
    const [cx, cy] = spec.centre ?? [0, 0];
    const half = spec.half_width;
    const ends = isMap ? [{ low: cx - half, high: cx + half, label: "x (m)" }, { low: cy - half, high: cy + half, label: "y (m)" }] : [spec.x, spec.y];
    let area = { x: x + LEFT, y: y + (spec.title ? TITLE : 8), right: x + width - (spec.kind === "chart" ? 16 : 8), bottom: y + height - TICKS };
    if (isMap) { // a square, at the left, under its title
      const side = Math.max(40, Math.min(area.right - area.x, area.bottom - area.y));
      const spare = area.right - area.x - side;
      area = { x: area.x + spare / 2, y: area.y, right: area.x + spare / 2 + side, bottom: area.y + side };
    }
    Object.assign(this, { canvas, context, spec, box: { x, y, width, height }, area, ends, scales: ends.map((end) => (end?.scale === "log" ? log : straight)) });
  }

  get colour() { return (name) => this.canvas.colour(name); }

  /** Pixels of the screen for a point of the data. */
  at([x, y]) {
    const share = (value, axis) => {
      const { low, high } = this.ends[axis];
      const { to } = this.scales[axis];
      return (to(value) - to(low)) / (to(high) - to(low));
    };
    const { area } = this;
    return [area.x + share(x, 0) * (area.right - area.x), area.bottom - share(y, 1) * (area.bottom - area.y)];
  }

  /** The point of the data at pixels of the screen. */
  from([px, py]) {
    const { area } = this;
    const value = (share, axis) => {
      const { low, high } = this.ends[axis];
      const { to, from } = this.scales[axis];
      return from(to(low) + share * (to(high) - to(low)));
    };
    return [value((px - area.x) / (area.right - area.x), 0), value((area.bottom - py) / (area.bottom - area.y), 1)];
  }

  holds([px, py]) {
    const { area } = this;
    return px >= area.x && px <= area.right && py >= area.y && py <= area.bottom;
  }

  /** Pixels for so many metres along x. */
  pixels(length) {
    const { low, high } = this.ends[0];
    return (length / (high - low)) * (this.area.right - this.area.x);
  }

  axes() {
    const { context, area, ends, spec } = this;
    if (spec.title) {
      context.font = this.canvas.font(14, 600);
      context.fillStyle = this.colour("ink");
      context.textAlign = "left";
      context.textBaseline = "alphabetic";
      context.fillText(spec.title, spec.kind === "text" ? this.box.x + 8 : area.x, this.box.y + 15, this.box.x + this.box.width - area.x);
    }
    if (spec.kind === "text") return;
    context.strokeStyle = this.colour("line");
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(area.x + 0.5, area.y);
    context.lineTo(area.x + 0.5, area.bottom + 0.5);
    context.lineTo(area.right, area.bottom + 0.5);
    context.stroke();
    context.font = this.canvas.font(12);
    context.fillStyle = this.colour("soft");
    for (const axis of [0, 1]) {
      const room = (axis === 0 ? area.right - area.x : area.bottom - area.y) / 60;
      for (const value of ticksBetween(ends[axis], room)) {
        const [px, py] = this.at(axis === 0 ? [value, ends[1].low] : [ends[0].low, value]);
        context.beginPath();
        context.moveTo(px, py);
        context.lineTo(...(axis === 0 ? [px, py + 4] : [px - 4, py]));
        context.stroke();
        context.textAlign = axis === 0 ? "center" : "right";
        context.textBaseline = axis === 0 ? "top" : "middle";
        context.fillText(written(value), ...(axis === 0 ? [px, py + 7] : [px - 7, py]));
      }
    }
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    if (ends[0].label) context.fillText(ends[0].label, (area.x + area.right) / 2, area.bottom + 34);
    if (ends[1].label) this.#upright(ends[1].label);
  }

  #upright(text) {
    const { context, area } = this;
    context.save();
    context.translate(area.x - 38, (area.y + area.bottom) / 2);
    context.rotate(-Math.PI / 2);
    context.fillText(text, 0, 0);
    context.restore();
  }

  /** Draw inside of the axes only. */
  #inside(work) {
    const { context, area } = this;
    context.save();
    context.beginPath();
    context.rect(area.x, area.y, area.right - area.x, area.bottom - area.y);
    context.clip();
    work(context);
    context.restore();
  }

  /** Hatching: here nothing is known. */
  hatch() {
    const size = 8;
    const { ratio } = this.canvas;
    const tile = document.createElement("canvas");
    tile.width = tile.height = Math.round(size * ratio);
    const brush = tile.getContext("2d");
    brush.scale(tile.width / size, tile.height / size);
    brush.fillStyle = this.colour("unknown_fill");
    brush.fillRect(0, 0, size, size);
    brush.strokeStyle = this.colour("unknown_hatch");
    brush.lineWidth = 1;
    for (const shift of [-size, 0, size]) {
      brush.beginPath();
      brush.moveTo(shift, size);
      brush.lineTo(shift + size, 0);
      brush.stroke();
    }
    this.#inside((context) => {
      const pattern = context.createPattern(tile, "repeat");
      pattern.setTransform(new DOMMatrix().scale(size / tile.width));
      context.fillStyle = pattern;
      context.fillRect(this.area.x, this.area.y, this.area.right - this.area.x, this.area.bottom - this.area.y);
    });
  }

  /** n × n colours, row by row from the bottom left; null is unknown, and hatched. `alphas` fade them into what is below. */
  cells(colours, n, alphas) {
    if (alphas || colours.includes(null)) this.hatch();
    const image = new ImageData(n, n);
    colours.forEach((colour, index) => {
      if (!colour) return;
      const at = 4 * ((n - 1 - Math.floor(index / n)) * n + (index % n));
      for (let part = 0; part < 3; part += 1) image.data[at + part] = Math.round(255 * colour[part]);
      image.data[at + 3] = Math.round(255 * (alphas ? alphas[index] : 1));
    });
    const small = document.createElement("canvas");
    small.width = small.height = n;
    small.getContext("2d").putImageData(image, 0, 0);
    const { context, area } = this;
    context.imageSmoothingEnabled = false;
    context.drawImage(small, area.x, area.y, area.right - area.x, area.bottom - area.y);
  }

  #shape(path, { fill, stroke, width = 1, alpha = 1 }) {
    this.#inside((context) => {
      context.globalAlpha = alpha;
      context.beginPath();
      path(context);
      if (fill) { context.fillStyle = this.colour(fill); context.fill(); }
      if (stroke) { context.strokeStyle = this.colour(stroke); context.lineWidth = width; context.stroke(); }
    });
  }

  disc(place, radius, look) {
    const [px, py] = this.at(place);
    this.#shape((context) => context.arc(px, py, radius, 0, 2 * Math.PI), look);
  }

  square(place, radius, look) {
    const [px, py] = this.at(place);
    this.#shape((context) => context.rect(px - radius, py - radius, 2 * radius, 2 * radius), look);
  }

  /** A cross of filled bars, as poison is drawn. */
  cross(place, radius, look) {
    const [px, py] = this.at(place);
    const [long, short] = [radius, radius / 2];
    const corners = [[-long, -short], [-short, -long], [0, -short], [short, -long], [long, -short], [short, 0], [long, short], [short, long], [0, short], [-short, long], [-long, short], [-short, 0]];
    this.#shape((context) => { corners.forEach(([x, y], i) => (i ? context.lineTo(px + x, py + y) : context.moveTo(px + x, py + y))); context.closePath(); }, look);
  }

  circle(place, radius, look) {
    this.disc(place, this.pixels(radius), { stroke: "ink", ...look });
  }

  line(points, { colour = "ink", width = 1.5, dash = [], alpha = 1 } = {}) {
    this.#inside((context) => {
      context.globalAlpha = alpha;
      context.strokeStyle = this.colour(colour);
      context.lineWidth = width;
      context.setLineDash(dash);
      context.beginPath();
      points.forEach((point, i) => (i ? context.lineTo(...this.at(point)) : context.moveTo(...this.at(point))));
      context.stroke();
    });
  }

  region(points, look) {
    this.#shape((context) => { points.forEach((point, i) => (i ? context.lineTo(...this.at(point)) : context.moveTo(...this.at(point)))); context.closePath(); }, { alpha: 0.2, ...look });
  }

  /** The ellipse that holds a share of a Gaussian with a covariance [[a, b], [b, c]]. */
  ellipse(centre, covariance, share, look) {
    const { axes, angle } = ellipseOf(covariance, share);
    const points = Array.from({ length: 73 }, (_, i) => {
      const turn = (i / 72) * 2 * Math.PI;
      const [along, across] = [axes[0] * Math.cos(turn), axes[1] * Math.sin(turn)];
      return [centre[0] + along * Math.cos(angle) - across * Math.sin(angle), centre[1] + along * Math.sin(angle) + across * Math.cos(angle)];
    });
    if (look.fill) this.region(points, look);
    this.line(points, { colour: look.stroke ?? "ink", width: look.width, dash: look.dash });
  }

  bar(x, low, high, width, look) {
    const [px, top] = this.at([x, high]);
    const [, bottom] = this.at([x, low]);
    this.#shape((context) => context.rect(px - width / 2, top, width, bottom - top), look);
  }

  text(place, words, { align = "left", colour = "soft", size = 12, weight = 400, shift = [0, 0] } = {}) {
    const [px, py] = this.at(place);
    this.words(px + shift[0], py + shift[1], words, { align, colour, size, weight });
  }

  /** Words at pixels of the screen. */
  words(px, py, words, { align = "left", colour = "soft", size = 12, weight = 400 } = {}) {
    const { context } = this;
    context.font = this.canvas.font(size, weight);
    context.textAlign = align;
    context.textBaseline = "middle";
    context.lineWidth = 3;
    context.strokeStyle = this.colour("paper");
    context.strokeText(words, px, py);
    context.fillStyle = this.colour(colour);
    context.fillText(words, px, py);
  }

  /** A sample of a colour, or hatching for null, at pixels of the screen. */
  swatch(px, py, colour) {
    const { context } = this;
    context.fillStyle = this.colour(colour ?? "unknown_fill");
    context.fillRect(px, py - 7, 20, 14);
    context.strokeStyle = this.colour("soft");
    context.lineWidth = 1;
    context.strokeRect(px + 0.5, py - 6.5, 19, 13);
    if (colour) return;
    context.beginPath();
    for (const shift of [0, 7]) { context.moveTo(px + shift, py + 7); context.lineTo(px + shift + 13, py - 7); }
    context.stroke();
  }

  trees({ places, poisonous }, radius = 5.5) {
    places.forEach((place, i) => {
      const look = { fill: poisonous[i] ? "poisonous" : "edible", stroke: "paper", width: 1 };
      if (poisonous[i]) this.cross(place, radius, look);
      else this.disc(place, radius, look);
    });
  }
}

/** Half axes, the longer one first, and the angle of that one. */
export function ellipseOf([[a, b], [, c]], share) {
  const scale = Math.sqrt(-2 * Math.log(1 - share)); // in two dimensions exactly
  const [middle, spread] = [(a + c) / 2, Math.hypot((a - c) / 2, b)];
  return {
    axes: [middle + spread, middle - spread].map((variance) => scale * Math.sqrt(Math.max(0, variance))),
    angle: 0.5 * Math.atan2(2 * b, a - c),
  };
}
