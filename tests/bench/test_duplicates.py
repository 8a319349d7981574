"""How long it takes to compare every picture with every other."""

import time
from random import Random

import pytest

from app.collect.duplicates import Decision, Hashed, find_pairs, open_pairs

PICTURES = 20_000


@pytest.mark.bench
def test_all_pairs_of_twenty_thousand() -> None:
    random = Random(1)
    made = tuple(
        Hashed(f"{number:064d}", random.getrandbits(64), random.getrandbits(64)) for number in range(PICTURES - 500)
    )
    copies = tuple(Hashed(f"copy-{place}", each.phash ^ 3, each.mirrored) for place, each in enumerate(made[:500]))
    begun = time.perf_counter()
    pairs = find_pairs(made + copies)
    first_s = time.perf_counter() - begun
    begun = time.perf_counter()
    assert find_pairs(made + copies) == pairs
    again_s = time.perf_counter() - begun
    begun = time.perf_counter()
    left = open_pairs(pairs, [Decision(pair.low, pair.high, "same") for pair in pairs[:100]])
    open_s = time.perf_counter() - begun
    print(f"\npairs of {PICTURES:,}: {first_s:.2f} s, from memory {again_s * 1000:.0f} ms, open {open_s * 1000:.1f} ms")
    assert len(pairs) >= 500
    assert len(left) == len(pairs) - 100
    assert first_s < 15
    assert again_s < first_s / 10
