"""Draws the plots of docs/performance.md from what the benchmarks have printed.

    python3 -m pip install matplotlib
    cargo bench -p kms-benches --bench side_by_side > docs/measured/side_by_side.txt    (and so on, for each file here)
    python3 docs/measured/plot.py

Every bar is a figure of a text in this folder: nothing is computed here but the order.
"""

import pathlib
import re
import sys

import matplotlib

matplotlib.use("svg")
from matplotlib import pyplot

HERE = pathlib.Path(__file__).parent
OURS, THEIRS = "#1f6f8b", "#c9c2b8"
GROUP = re.compile(r"^(\S.*?)\s{2,}ns/op\b")
ROW = re.compile(r"^  (\S.*?)\s{2,}([\d.]+)\s+[\d.]+\.\.[\d.]+\s")


def groups(name):
    """The groups of a table of kms-benches: {group: {contestant: nanoseconds}}."""
    found, group = {}, None
    for line in (HERE / name).read_text().splitlines():
        if match := GROUP.match(line):
            group = found.setdefault(match[1], {})
        elif group is not None and (match := ROW.match(line)):
            group[match[1]] = float(match[2])
    return found


def bars(name, title, unit, rows, log=False):
    """Pairs of horizontal bars; a row is (label, ours, theirs, who they are)."""
    if not rows:
        sys.exit(f"{name}: the table is not there")
    figure, axes = pyplot.subplots(figsize=(8, 0.55 * len(rows) + 1.2))
    for at, (_, ours, theirs, who) in enumerate(rows):
        for offset, value, colour, note in ((0.2, ours, OURS, ""), (-0.2, theirs, THEIRS, f"  {who}")):
            axes.barh(at + offset, value, height=0.36, color=colour)
            number = f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"
            axes.text(value, at + offset, f" {number}{note}", va="center", fontsize=8)
    axes.set_yticks(range(len(rows)), [label for label, *_ in rows])
    axes.invert_yaxis()
    axes.set_xscale("log" if log else "linear")
    values = [value for row in rows for value in row[1:3]]
    axes.set_xlim(min(values) / 2 if log else 0, max(values) * (40 if log else 1.3))
    axes.set_xlabel(unit + (", logarithmic" if log else ""))
    axes.set_title(title, loc="left", fontsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(HERE / f"{name}.svg", metadata={"Date": None})
    pyplot.close(figure)


def messages():
    rows = []
    for group, times in groups("side_by_side.txt").items():
        raw = {who: time for who, time in times.items() if who.startswith("raw XAES")}
        if raw and "C ABI" in times:
            who = min(raw, key=raw.get)
            rows.append((group, times["C ABI"], raw[who], who))
    bars("messages", "Through the C ABI (dark), and raw XAES-256-GCM put together from crates", "ns", rows)


def signatures():
    rows = []
    for group, times in groups("asymmetric.txt").items():
        library = next(who for who in times if who != "C ABI")
        rows.append((group, times["C ABI"] / 1000, times[library] / 1000, library))
    bars("signatures", "Through the C ABI (dark), and the usual library called directly", "µs", rows, log=True)


PLAIN = re.compile(r"^ *(\S.*?)\s{2,}([\d.]+)(?:\s+([\d.]+)\s+[\d.]+)?$")


def plain(name):
    """The lines of a table of kms-gm: the heading before each, its label, and its one or two figures."""
    heading = ""
    for line in (HERE / name).read_text().splitlines():
        if match := PLAIN.match(line):
            yield heading, match[1], *(float(figure) for figure in match.groups()[1:] if figure)
        elif line:
            heading = line


def arithmetic():
    rows = [(f"SM2 {label}", ours, theirs, "sm2") for _, label, ours, theirs in plain("sm2.txt")]
    curves = {}
    for heading, label, time in plain("ecdsa.txt"):
        curves.setdefault(heading.split()[0], {})[label] = time
    for curve, times in curves.items():
        for use in ("", ", new key"):
            others = {who: time for who, time in times.items() if ("new key" in who) == bool(use) and not who.startswith("kms-gm")}
            who = min(others, key=others.get)
            rows.append((f"{curve} verify{use}", times[f"kms-gm{use}"], others[who], who.removesuffix(use)))
    bars("arithmetic", "kms-gm (dark), and the fastest other library measured beside it", "µs", rows, log=True)


def ciphers():
    messages = {}
    for heading, label, time in plain("gcm.txt"):
        if " 61 bytes behind" in heading:
            cipher, who = label.split(maxsplit=1)
            messages.setdefault((cipher, heading.split(",")[0]), {})[who] = time
    rows = []
    for (cipher, size), times in sorted(messages.items(), key=lambda message: message[0][0]):
        # What sets its key up for each message, as kms-gm does.
        others = {who: time for who, time in times.items() if who not in ("kms-gm", "ring, cached key")}
        who = min(others, key=others.get)
        rows.append((f"{cipher}-GCM, {size}", times["kms-gm"], others[who], who))
    bars("ciphers", "One message under a key of its own: kms-gm (dark), and the fastest other", "ns", rows, log=True)


def peers():
    rows = []
    for group, times in groups("peers.txt").items():
        ours = next(who for who in times if who.startswith("C ABI"))
        others = {who: time for who, time in times.items() if who != ours}
        who = min(others, key=others.get)
        rows.append((group, times[ours] / 1000, others[who] / 1000, who))
    bars("peers", "libkms (dark), and the fastest of OpenSSL, SoftHSM2 and libsecp256k1", "µs", rows, log=True)


USE = re.compile(r"^ +(\S.*?)\s{2,}(\d+) keys +([\d.]+) µs")


def scale():
    times = {}
    for line in (HERE / "scale.txt").read_text().splitlines():
        if match := USE.match(line):
            # The only figure that is told below the use that it is of.
            use = "Encrypt 32 B, first use, 99 of 100 within" if match[1] == "99 of 100 within" else match[1]
            times.setdefault(use, {})[int(match[2])] = float(match[3])
    rows = [(use, of[5_000_000], of[1000], "1,000 keys") for use, of in times.items()]
    bars("scale", "In a store of five million keys (dark), and in one of a thousand", "µs", rows, log=True)


matplotlib.rcParams.update({"svg.hashsalt": "kms", "svg.fonttype": "none", "font.family": "sans-serif"})
messages()
signatures()
arithmetic()
ciphers()
peers()
scale()
