"""W10: how imgbuild's time grows with what it is given; curves as SVG.

Each curve has sizes in a geometric row. It is called linear when the time for
an item at the largest size is at most twice that at the size before."""
import os
import shutil
import subprocess
import sys
import time

STEPS = (0.01, 0.03, 0.1, 0.3, 1.0)


def _run(words, store):
    start = time.monotonic()
    child = subprocess.Popen(words, env=dict(os.environ, IMGBUILD_ROOT=store), stdout=subprocess.DEVNULL,
                             stderr=subprocess.PIPE)
    error = child.stderr.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{' '.join(words)}\n{error.decode(errors='replace')[-2000:]}")
    return time.monotonic() - start, usage.ru_maxrss


def _fresh(path):
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(path)
    return path


def _write(path, text):
    with open(path, "w") as out:
        out.write(text)
    return path


def context_files(imgbuild, work, store, count):
    """COPY of `count` files, and then the same again with everything cached."""
    context = _fresh(os.path.join(work, "growth-context"))
    for i in range(0, count, 500):
        directory = os.path.join(context, f"d{i:07d}")
        os.mkdir(directory)
        for j in range(min(500, count - i)):
            _write(os.path.join(directory, f"f{j:03d}"), f"{i + j}\n")
    dockerfile = _write(os.path.join(work, "df", "growth"), "FROM scratch\nCOPY . /\n")
    words = [imgbuild, "build", "--progress=plain", "-f", dockerfile, context]
    cold = _run(words, store)
    warm = _run(words, store)
    shutil.rmtree(context)
    return {"cold": cold, "no-op": warm}


def stages(imgbuild, work, store, count):
    """A Dockerfile of `count` stages, each with the one before."""
    empty = _fresh(os.path.join(work, "growth-empty"))
    _write(os.path.join(empty, "f"), "x")
    text = "FROM scratch AS s0\nCOPY f /f\n"
    text += "".join(f"FROM s{i - 1} AS s{i}\nENV A={i}\n" for i in range(1, count))
    dockerfile = _write(os.path.join(work, "df", "growth"), text)
    return {"build": _run([imgbuild, "build", "--progress=plain", "-f", dockerfile, empty], store)}


# What each stage of a Dockerfile says; nothing is built. A variable of its own
# in each: what a stage takes over from the one before grows all the time.
SHAPES = {
    "chain": lambda i: f"FROM s{i - 1} AS s{i}\nENV V{i}=x\n",
    "flat": lambda i: f"FROM s0 AS s{i}\nENV V{i}=x\n",
    "copies": lambda i: f"FROM scratch AS s{i}\nCOPY --from=s{i - 1} /f /f{i}\n",
}


def planned(imgbuild, work, store, count):
    """`plan` of Dockerfiles of `count` stages."""
    empty = _fresh(os.path.join(work, "growth-empty"))
    times = {}
    for name, stage in SHAPES.items():
        text = "FROM scratch AS s0\nCOPY f /f\n"
        text += "".join(stage(i) for i in range(1, count))
        if name == "flat":
            text += "FROM scratch\n" + "".join(f"COPY --from=s{i} /f /f{i}\n" for i in range(1, count))
        dockerfile = _write(os.path.join(work, "df", "growth"), text)
        times[name] = _run([imgbuild, "plan", "-f", dockerfile, empty], store)
    return times


def text(imgbuild, work, store, count):
    """`plan` of a Dockerfile of `count` bytes: instructions, and one logical line."""
    empty = _fresh(os.path.join(work, "growth-empty"))
    times = {}
    for name, line in (("lines", "ENV NAME{0}=value LABEL{0}=$NAME{0}\nLABEL k{0}=v\nRUN echo {0}\n"),
                       ("pairs", "    NAME{0}=value \\\n")):
        out = "FROM scratch\n" + ("ENV A=b \\\n" if name == "pairs" else "")
        parts = []
        size = len(out)
        while size < count:
            # A variable less often than a line: each RUN is told all of them.
            parts.append(line.format(len(parts) if name == "pairs" else len(parts) % 20))
            size += len(parts[-1])
        dockerfile = _write(os.path.join(work, "df", "growth"), out + "".join(parts) + "    Z=z\n" * (name == "pairs"))
        times[name] = _run([imgbuild, "plan", "-f", dockerfile, empty], store)
    return times


def layers(imgbuild, work, store, count):
    """An image of `count` layers, built and built again."""
    context = _fresh(os.path.join(work, "growth-empty"))
    for i in range(count):
        _write(os.path.join(context, f"f{i}"), f"{i}")
    text = "FROM scratch\n" + "".join(f"COPY f{i} /\n" for i in range(count))
    dockerfile = _write(os.path.join(work, "df", "growth"), text)
    words = [imgbuild, "build", "--progress=plain", "-f", dockerfile, context]
    return {"cold": _run(words, store), "no-op": _run(words, store)}


def store_layers(imgbuild, work, store, count):
    """`images` and a no-op build in a store of `count` layers."""
    blobs = os.path.join(store, "blobs", "sha256")
    have = len(os.listdir(blobs)) if os.path.isdir(blobs) else 0
    context = _fresh(os.path.join(work, "growth-empty"))
    each = 100
    while have < count:
        for i in range(each):
            _write(os.path.join(context, f"f{i}"), f"{have + i} {count}")
        text = "FROM scratch\n" + "".join(f"COPY --link f{i} /\n" for i in range(each))
        dockerfile = _write(os.path.join(work, "df", "growth"), text)
        _run([imgbuild, "build", "--progress=plain", "-f", dockerfile, context], store)
        have += each
    return {"images": _run([imgbuild, "images"], store),
            "no-op": _run([imgbuild, "build", "--progress=plain", "-f", dockerfile, context], store)}


CURVES = {
    "context": (context_files, 1_000_000, "files in the context", True),
    "stages": (stages, 10_000, "stages", True),
    "plan": (planned, 10_000, "stages planned", True),
    "text": (text, 1_000_000, "bytes of a Dockerfile planned", True),
    "layers": (layers, 500, "layers of the image", True),
    "store": (store_layers, 60_000, "layers in the store", False),
}


def _svg(title, unit, series):
    width, height, left, bottom = 640, 400, 70, 50
    most_x = max(x for points in series.values() for x, _ in points)
    most_y = max(y for points in series.values() for _, y in points) or 1
    colours = ("#1f6feb", "#d1480f", "#2da44e")

    def at(x, y):
        return (left + x / most_x * (width - left - 20),
                height - bottom - y / most_y * (height - bottom - 30))

    out = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
           'font-family="sans-serif" font-size="12">',
           f'<rect width="{width}" height="{height}" fill="white"/>',
           f'<path d="M{left} 30V{height - bottom}H{width - 20}" fill="none" stroke="black"/>',
           f'<text x="{left}" y="20">{title}</text>',
           f'<text x="{width - 20}" y="{height - 15}" text-anchor="end">{most_x:,} {unit}</text>',
           f'<text x="{left - 5}" y="40" text-anchor="end">{most_y:.2f} s</text>']
    for index, (name, points) in enumerate(series.items()):
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(*p) for p in points))
        colour = colours[index % len(colours)]
        out.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        out.append(f'<text x="{left + 10}" y="{50 + 16 * index}" fill="{colour}">{name}</text>')
    return "\n".join(out) + "\n</svg>\n"


def measure(imgbuild, work, store, directory, largest):
    os.makedirs(directory, exist_ok=True)
    for name, (function, full, unit, fresh) in CURVES.items():
        series = {}
        for step in STEPS:
            count = max(1, int(full * largest * step))
            if fresh:
                _fresh(store)
            for line, (seconds, peak) in function(imgbuild, work, store, count).items():
                series.setdefault(line, []).append((count, seconds))
                print(f"W10 {name:<8} {count:>9,} {unit:<22} {line:<6} {seconds:8.3f} s"
                      f"  {seconds / count * 1e6:8.1f} us each  peak {peak / 1024:6.1f} MB")
                sys.stdout.flush()
        _fresh(store)
        for line, points in series.items():
            (x0, y0), (x1, y1) = points[-2:]
            growth = (y1 / x1) / (y0 / x0)
            print(f"W10 {name:<8} {line}: {'linear' if growth <= 2 else f'{growth:.1f} times the time an item'}")
        _write(os.path.join(directory, f"{name}.svg"), _svg(f"imgbuild: {name}", unit, series))
