"""Plots as SVG, small and the same for the same figures: lines over a logarithmic axis, and bars."""
import math
from html import escape

COLOURS = "#1f5fa8", "#c8501e", "#2e8b57", "#8a3fa0", "#a08000", "#555555", "#c02050", "#00808a"
WIDTH, HEIGHT = 640, 360
LEFT, RIGHT, TOP, BOTTOM = 70, 150, 34, 48


def short(value):
    """A number as a person writes it: 100k, 1.3, 20."""
    for unit, name in (1e9, "G"), (1e6, "M"), (1e3, "k"):
        if abs(value) >= unit:
            return f"{value / unit:.3g}{name}"
    return f"{value:.3g}"


class Axis:
    """From values to places between two ends."""

    def __init__(self, values, begin, end, log):
        self.begin, self.end, self.log = begin, end, log
        low, high = min(values), max(values)
        if log:
            self.low, self.high = math.floor(math.log10(low)), math.ceil(math.log10(high))
            self.high += self.high == self.low
            self.ticks = [10.0 ** n for n in range(self.low, self.high + 1)]
        else:
            step = 10.0 ** math.floor(math.log10(high or 1))
            step = next(s for s in (step / 5, step / 2, step) if (high or 1) / s <= 8 or s == step)
            self.low, self.high = 0, math.ceil(high / step or 1) * step
            self.ticks = [n * step for n in range(round(self.high / step) + 1)]

    def at(self, value):
        value = math.log10(value) if self.log else value
        return round(self.begin + (value - self.low) / (self.high - self.low) * (self.end - self.begin), 1)


def text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{escape(words)}</text>'


def frame(title, parts, height=HEIGHT):
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'font-family="sans-serif" font-size="11">',
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>', text(WIDTH / 2, 18, title, more=' font-size="13"'),
        *parts, "</svg>"]) + "\n"


def lines(title, x_name, y_name, series, log_y=False):
    """`series`: {name: [(x, y), ...]}; x is logarithmic."""
    points = [point for line in series.values() for point in line if not log_y or point[1] > 0]
    if not points:
        return frame(title, [text(WIDTH / 2, HEIGHT / 2, "not measured")])
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    x = Axis([p[0] for p in points], LEFT, right, log=True)
    y = Axis([p[1] for p in points], bottom, TOP, log=log_y)
    parts = []
    for tick in x.ticks:
        parts += [f'<path d="M{x.at(tick)} {TOP}V{bottom}" stroke="#ddd"/>', text(x.at(tick), bottom + 15, short(tick))]
    for tick in y.ticks:
        parts += [f'<path d="M{LEFT} {y.at(tick)}H{right}" stroke="#ddd"/>', text(LEFT - 6, y.at(tick) + 4, short(tick), "end")]
    parts.append(f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="black"/>')
    parts.append(text((LEFT + right) / 2, HEIGHT - 10, x_name))
    middle = (TOP + bottom) / 2
    parts.append(text(16, middle, y_name, more=f' transform="rotate(-90 16 {middle})"'))
    for n, (name, line) in enumerate(series.items()):
        colour = COLOURS[n % len(COLOURS)]
        places = [(x.at(a), y.at(b)) for a, b in sorted(line) if not log_y or b > 0]
        parts.append(f'<polyline points="{" ".join(f"{a},{b}" for a, b in places)}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{a}" cy="{b}" r="3" fill="{colour}"/>' for a, b in places]
        parts += [f'<path d="M{right + 10} {TOP + 10 + 18 * n}h16" stroke="{colour}" stroke-width="2"/>',
                  text(right + 31, TOP + 14 + 18 * n, name, "start")]
    return frame(title, parts)


def bars(title, x_name, values):
    """`values`: {name: value} on a logarithmic axis, one below the other."""
    values = {name: value for name, value in values.items() if value and value > 0}
    if not values:
        return frame(title, [text(WIDTH / 2, HEIGHT / 2, "not measured")])
    left, step = 150, 26
    bottom = TOP + step * len(values)
    x = Axis([*values.values(), 1], left, WIDTH - 70, log=True)
    parts = []
    for tick in x.ticks:
        parts += [f'<path d="M{x.at(tick)} {TOP}V{bottom}" stroke="#ddd"/>', text(x.at(tick), bottom + 15, short(tick))]
    for n, (name, value) in enumerate(values.items()):
        top, width = TOP + step * n + 4, round(x.at(value) - left, 1)
        parts += [f'<rect x="{left}" y="{top}" width="{width}" height="{step - 8}" fill="{COLOURS[0 if name.startswith("penstock") else 1]}"/>',
                  text(left - 6, top + 13, name, "end"), text(left + width + 5, top + 13, short(value), "start")]
    parts.append(text((left + WIDTH - 70) / 2, bottom + 34, x_name))
    return frame(title, parts, bottom + 44)
