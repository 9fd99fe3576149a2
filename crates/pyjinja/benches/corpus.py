"""Measures Jinja2 on the corpus beside this file, as benches/render.rs measures this crate and minijinja.

Prints one line for each template: the medians of compiling and of rendering, in microseconds. With `--record` it writes
what Jinja2 renders beside the templates instead, for tests/corpus.rs.
"""

import json
import pathlib
import statistics
import sys
import time

import jinja2.sandbox

CORPUS = pathlib.Path(__file__).parent / "corpus"


def median(function, seconds=1.0):
    times, end = [], time.perf_counter() + seconds
    while time.perf_counter() < end or len(times) < 5:
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


data = json.loads((CORPUS / "data.json").read_text())
environment = jinja2.sandbox.SandboxedEnvironment(cache_size=0)
for path in sorted(CORPUS.glob("*.jinja")):
    source = path.read_text()
    template = environment.from_string(source)
    if "--record" in sys.argv:
        path.with_suffix(".txt").write_text(template.render(data))
        continue
    compiling = median(lambda: environment.from_string(source))
    rendering = median(lambda: template.render(data))
    print(f"{path.stem:10} compile {compiling:9.1f}  render {rendering:9.1f}")
