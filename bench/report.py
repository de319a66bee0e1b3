"""What was measured, as a table for people, as docs/benchmark.md and as a chart."""

import html

# What stands below this line of docs/benchmark.md is written by people and is kept.
MARK = "<!-- Below: written by hand; bench/run keeps it. -->"


def rows(found):
    """What, nginx's figure, ours, the ratio or what is compared with the target, the target, met?"""
    speed, memory = found["speed"], found["memory"]
    theirs, ours = speed["nginx"], speed["broker"]
    theirs_close, ours_close = speed["nginx close"], speed["broker close"]

    def ratio(a, b):
        return a / b if b else float("nan")

    def row(what, a, b, text, value, target):
        met = "" if target is None else ("yes" if target[1](value) else "no")
        return what, a, b, text, "" if target is None else target[0], met

    def compared(what, a, b, show, target=None):
        value = ratio(b, a)
        return row(what, show(a), show(b), f"{value:.2f}", value, target)

    rate = "{:,.0f}".format
    cpu = "{:.2f} µs".format
    late = "{:,.0f} µs".format
    listed = [
        compared("answers a second", theirs["rate"], ours["rate"], rate,
                 ("≥ 1.00", lambda value: value >= 1)),
        compared("server CPU per answer", theirs["cpu"], ours["cpu"], cpu,
                 ("≤ 1.05", lambda value: value <= 1.05)),
        compared("99th percentile", theirs["p99"], ours["p99"], late,
                 ("≤ 1.00", lambda value: value <= 1)),
        compared("answers a second, a connection each", theirs_close["rate"], ours_close["rate"], rate),
        compared("server CPU per answer, a connection each", theirs_close["cpu"], ours_close["cpu"], cpu),
        compared("server CPU per answer, Unix socket (nginx: TCP)", theirs["cpu"],
                 speed["socket"]["cpu"], cpu, ("≤ 0.75", lambda value: value <= 0.75)),
    ]  # fmt: skip

    def mib(kib):
        return f"{kib / 1024:.1f} MiB"

    few = memory[10]
    for when, kib in few.items():
        listed.append(
            row(f"resident memory, 10 integrations, {NAMED[when]}", "", mib(kib), "", kib,
                ("< 10 MiB", lambda value: value < 10 * 1024)))  # fmt: skip
    allowed = 4096 + 2 * found["token"]
    for count in sorted(memory):
        if count == 10:
            continue
        for when, kib in memory[count].items():
            each = (kib - few[when]) * 1024 / (count - 10)
            target = (f"≤ {allowed:,} B", lambda value: value <= allowed)
            listed.append(
                row(f"… {count:,} integrations, {NAMED[when]}", "", mib(kib),
                    f"{each:,.0f} B each", each, target if count == 10000 else None))  # fmt: skip
    start = found["start"]
    listed.append(
        row("exec to listening", "", f"{start['median']:.1f} ms",
            f"CPU {start['cpu']:.1f} ms", start["median"],
            ("≤ 20 ms", lambda value: value <= 20)))  # fmt: skip
    listed.append(
        row("CPU of an idle broker, 10 integrations", "", f"{found['idle']:.3f} %", "",
            found["idle"], ("< 0.1 %", lambda value: value < 0.1)))  # fmt: skip
    listed.append(
        row("stripped release binary", "", f"{found['binary'] / 2**20:.1f} MiB", "",
            found["binary"], ("< 12 MiB", lambda value: value < 12 * 2**20)))  # fmt: skip
    return listed


NAMED = {"first": "tokens there", "after load": "after load"}
HEADS = ("", "nginx", "broker", "compared", "target", "met")


def table(found):
    lines = [HEADS, *rows(found)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADS))]
    texts = []
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        cells += [cell.rjust(width) for cell, width in zip(line[1:], widths[1:])]
        texts.append("  ".join(cells).rstrip())
    return "\n".join([about(found), "", *texts])


def about(found):
    where = found["machine"]
    return (
        f"{where['date']}, {where['cpu']}, {where['cores']} cores, Linux {where['kernel']}, "
        f"nginx {where['nginx']}, load average at the start {where['load']:.1f}"
    )


def write(found, folder):
    page = folder / "benchmark.md"
    kept = ""
    if page.exists():
        kept = page.read_text().partition(MARK)[2]
    lines = ["| " + " | ".join(cell or " " for cell in line) + " |" for line in rows(found)]
    sizes = found["sizes"]
    page.write_text(
        f"""# Benchmark

`bench/run` measures `GET /token/bench` against nginx answering the same bytes with `return 200`, and
writes this page. {about(found)}.

![Server CPU per answer and answers a second](benchmark.svg)

| {" | ".join(head or " " for head in HEADS)} |
| --- | ---: | ---: | ---: | --- | --- |
{chr(10).join(lines)}

One server core, one load core, 64 connections; medians of rounds in which the two servers take
turns. The body has {sizes['body']} bytes, with a token of {found['token']}; nginx's answer has
{sizes['nginx head'] - sizes['broker head']} more bytes of headers, which it always sends.
CPU is user and system time of the server's process, from `/proc`. The load on the Unix socket is
`bench/load.rs`, as wrk knows TCP only.

{MARK}{kept if kept else chr(10)}"""
    )
    (folder / "benchmark.svg").write_text(chart(found))


COLOURS = {"nginx": "#94a3b8", "broker": "#0f766e"}


def chart(found):
    speed = found["speed"]
    groups = [
        ("answers a second", "{:,.0f}", [
            ("nginx", "nginx", speed["nginx"]["rate"]),
            ("broker", "token-broker", speed["broker"]["rate"]),
        ]),
        ("server CPU per answer, µs", "{:.1f}", [
            ("nginx", "nginx", speed["nginx"]["cpu"]),
            ("broker", "token-broker", speed["broker"]["cpu"]),
            ("broker", "token-broker, Unix socket", speed["socket"]["cpu"]),
        ]),
        ("99th percentile, µs", "{:,.0f}", [
            ("nginx", "nginx", speed["nginx"]["p99"]),
            ("broker", "token-broker", speed["broker"]["p99"]),
        ]),
        ("resident memory of token-broker, MiB", "{:.1f}", [
            ("broker", f"{count:,} integrations", kib["after load"] / 1024)
            for count, kib in sorted(found["memory"].items())
        ]),
    ]  # fmt: skip
    left, width, top, shapes = 210, 380, 34, []

    def text(x, y, words, more=""):
        shapes.append(f'<text x="{x}" y="{y}"{more}>{html.escape(words)}</text>')

    for title, shown, bars in groups:
        text(16, top, title, ' font-weight="600"')
        top += 12
        most = max(value for _, _, value in bars)
        for kind, name, value in bars:
            long = max(2, value / most * width)
            text(left - 10, top + 14, name, ' text-anchor="end"')
            shapes.append(
                f'<rect x="{left}" y="{top}" width="{long:.1f}" height="19" rx="3" '
                f'fill="{COLOURS[kind]}"/>'
            )
            text(left + long + 8, top + 14, shown.format(value))
            top += 25
        top += 26
    text(16, top, f"{found['machine']['date']} · {found['machine']['cpu']} · one core", ' fill="#64748b"')
    body = "\n".join(shapes)
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 {top + 18}" role="img" \
aria-label="token-broker compared with nginx" \
font-family="system-ui, sans-serif" font-size="13" fill="#0f172a">
<rect width="100%" height="100%" rx="8" fill="#f8fafc"/>
{body}
</svg>
"""
