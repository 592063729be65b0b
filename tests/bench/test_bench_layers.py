from pathlib import Path

import pbgen
from pbgen.bench.layers import time_layers


def test_every_layer_and_the_rest(packed: Path) -> None:
    engine = pbgen.Engine(packed)
    times = time_layers(packed, "float32", 1, engine.draw(engine.input_shape, count=3), runs=4)
    operations = engine.operations(engine.input_shape).values()
    assert (times.activations, times.batch, times.runs) == ("float32", 3, 4)
    assert [(t.name, t.kernel) for t in times.layers] == list(engine.kernels.items())
    assert [t.operations for t in times.layers] == [3 * count for count in operations], "of a run"
    assert [t.weight_bytes for t in times.layers] == [layer.weight_bytes for layer in engine.layers]
    for layer in times.layers:
        assert 0 < layer.low <= layer.median <= layer.high
    assert times.rest > 0
    assert times.operations == 3 * sum(operations)
    assert times.seconds > sum(layer.median for layer in times.layers)
