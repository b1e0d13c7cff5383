"""Helpers for tests of metrics: a scrape, parsed by Prometheus' own parser."""

import urllib.request
from collections import Counter
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def parse(text: str) -> Samples:
    """Return each sample's value by its name, without the prefix, and its labels."""
    return {
        (each.name.removeprefix("agent_asgi_"), tuple(sorted(each.labels.items()))): each.value
        for family in text_string_to_metric_families(text)
        for each in family.samples
    }


def scrape(url: str) -> Samples:
    """Ask a server for its metrics."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=10) as answer:
        assert answer.headers["content-type"].startswith("text/plain; version=")
        return parse(answer.read().decode())


def value(samples: Samples, name: str, **labels: str) -> float:
    """Return one sample's value; 0 if it is missing."""
    return samples.get((name, tuple(sorted(labels.items()))), 0.0)


def by(samples: Samples, name: str, *labels: str) -> Counter[Any]:
    """Return the values of all samples with a name, summed by some of their labels."""
    found: Counter[Any] = Counter()
    for (each, all_labels), number in samples.items():
        if each == name and number:
            key = tuple(dict(all_labels)[label] for label in labels)
            found[key[0] if len(key) == 1 else key] += int(number)
    return found
