"""Whatever is wrong with what the user gave: one line on standard error, exit code 2, and no traceback."""

import json
import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest
from cli_runs import Command, finish, start

FACTORIES = """
import torch
def broken(): raise RuntimeError("two\\nlines")
def number(): return 3
def shapeless(): return torch.nn.Linear(2, 2)
def odd():
    class Odd(torch.nn.Module):
        input_shape = (4,)
        def forward(self, z): return torch.fft.fft(z).abs()
    return Odd()
"""

INSPECT = [
    ("", "Missing argument 'MODEL'"),
    ("dcgan65", "model 'dcgan65': unknown; choose one of dcgan32"),
    ("dcgan64 --kernel-size 6", "kernel size 6: dcgan64 has kernels of size 4 or 5"),
    ("dcgan64 --kernel-size five", "Invalid value for '--kernel-size'"),
    ("dcgan64 --channels 2", "channels 2"),
    ("dcgan64 --width 3", "width 3"),
    ("dcgan64 --latent 0", "latent 0"),
    ("dcgan64 --width 1099511627776", "the weights of dcgan64 would take"),
    ("dcgan64 --threshold -1", "threshold -1.0: must be a positive number"),
    ("dcgan64 --threshold nan", "threshold nan"),
    ("dcgan64 --colour red", "No such option: --colour"),
    ("dcgan64 dcgan32", "unexpected extra argument"),
    ("dcgan64 --save missing/plan.json", "--save missing/plan.json: there is no folder missing"),
    ("dcgan64 --save .", "--save .: is a folder"),
    ("dcgan64 --save loop.json", "--save loop.json: cannot be written: Too many levels of symbolic links"),
    ("dcgan64 --save /dev/fd/1", "--save /dev/fd/1: is where the command writes what it says; give another file"),
    ("missing.py:make", "there is no file missing.py"),
    ("models.py:missing", "has no function 'missing'"),
    ("models.py:broken", "RuntimeError: two lines"),
    ("models.py:number", "returned int"),
    ("models.py:shapeless", "needs input_shape"),
    ("models.py:odd", "nothing to plan"),
    ("noise.bin:make", "noise.bin"),
    ("dcgan64.py", "model 'dcgan64.py': unknown"),
    ("g.onnx", "g.onnx: ONNX files are not read"),
]
TRAIN = [
    ("", "Missing option '--out'"),
    ("--out r --generator half", "'half' is not one of 'partial', 'float', 'binary'"),
    ("--out r --discriminator partial", "'partial' is not one of"),
    ("--out r --loss mse", "'mse' is not one of"),
    ("--out r --method xnor", "'xnor' is not one of"),
    ("--out r --precision 8", "'8' is not one of"),
    ("--out r --steps 0", "Invalid value for '--steps'"),
    ("--out r --steps many", "Invalid value for '--steps'"),
    ("--out r --learning-rate 0", "learning_rate 0.0"),
    ("--out r --batch-size 8 --micro-batch 3", "batch_size 8"),
    ("--out r --model dcgan1", "model 'dcgan1': unknown"),
    ("--out r --model models.py:number", "returned int"),
    ("--out r --model g.onnx", "g.onnx: ONNX files are not read"),
    ("--out r --data missing", "missing: no such folder or zip"),
    ("--out r --width 1099511627776", "width 1099511627776: at most 2147483647"),
    ("--out r --width 2147483640", "the weights of dcgan64 would take"),
    ("--out r --learning-rate inf", "learning_rate inf: must be a finite number"),
    ("--out r --batch-size 9999999", "batch_size 9999999: at most 65536"),
    ("--out r --data empty", "empty: "),
    ("--out r --data noise.bin", "noise.bin"),
    ("--out r --model dcgan32 --width 16 --threshold 1e12", "no layer of dcgan32 reaches the threshold"),
    ("--out r --resume", "r/config.json: cannot be read"),
    ("--out noise.bin --model dcgan32 --width 128", "noise.bin"),
    ("--out RUN --model dcgan32", "holds a run already"),
    ("--out RUN --resume --loss hinge", "trained with another loss"),
    ("--out RUN --resume --steps 1", "steps 1: "),
]
EVALUATE = [
    ("", "Missing argument 'RUN'"),
    ("missing", "missing: not the folder of a training run"),
    ("empty", "empty: not the folder of a training run"),
    ("noise.bin", "noise.bin: not the folder of a training run"),
    ("half", "half/checkpoint.pt: there is no checkpoint"),
    ("damaged", "damaged/checkpoint.pt: damaged, or not a checkpoint"),
    ("RUN --data missing", "missing: no such folder or zip"),
    ("RUN --data PICTURES -n 101", "has 200 images, and 101 need twice as many; give -n 100 or less"),
    ("RUN -n 1", "Invalid value for '--count'"),
    ("RUN --seeds 0", "Invalid value for '--seeds'"),
]
PACK = [
    ("RUN", "Missing option '--output'"),
    ("missing -o g.safetensors", "missing: not the folder of a training run"),
    ("half -o g.safetensors", "there is no checkpoint"),
    ("missing.py:make -o g.safetensors", "there is no file missing.py"),
    ("g.onnx -o g.safetensors", "g.onnx: ONNX files are not read"),
    ("models.py:shapeless -o g.safetensors", "needs input_shape"),
    ("RUN -o missing/g.safetensors", "--output missing/g.safetensors: there is no folder missing"),
    ("RUN -o empty", "--output empty: is a folder"),
]
GENERATE = [
    ("PACKED", "Missing option '--output'"),
    ("missing.safetensors -o grid.png", "missing.safetensors: "),
    ("noise.bin -o grid.png", "noise.bin: "),
    ("foreign.safetensors -o grid.png", "foreign.safetensors: "),
    ("truncated.safetensors -o grid.png", "truncated.safetensors: "),
    ("empty -o grid.png", "empty: "),
    ("PACKED -o grid.png --range 1:0", "--range 1:0: give the numbers for black and white, such as 0:1, -1:1 or 0:255"),
    ("PACKED -o grid", "grid: the ending '' is no picture's; give a name such as grid.png"),
    ("PACKED -o grid.txt", "the ending '.txt' is no picture's"),
    ("PACKED -o missing/grid.png", "--output missing/grid.png: there is no folder missing"),
    (
        "PACKED -o grid.png -n 1000000000",
        "the picture would have 270 x 4249999998 pixels, more than 512 MiB",
    ),
    (
        "PACKED -o grid.webp -n 7400",
        "WEBP holds at most 16383 pixels a side, and the picture has 270 x 31448",
    ),
    ("PACKED -o grid.jpg -n 30000", "grid.jpg: JPEG holds at most 65500 pixels a side"),
    ("PACKED -o grid.png -n 0", "Invalid value for '--count'"),
    ("PACKED -o grid.png --seed -1", "Invalid value for '--seed'"),
    ("PACKED -o grid.png --columns none", "Invalid value for '--columns'"),
]
BENCH = [
    ("", "FILE: missing; give a packed generator, or --training MODEL"),
    ("--training dcgan65", "dcgan65"),
    ("missing.safetensors", "missing.safetensors: "),
    ("truncated.safetensors", "truncated.safetensors: "),
    ("foreign.safetensors --json", "foreign.safetensors: "),
    ("PACKED --threads 0", "Invalid value for '--threads'"),
    ("PACKED --batch 0", "Invalid value for '--batch'"),
    ("PACKED --rounds x", "Invalid value for '--rounds'"),
    ("PACKED --engine tensorrt", "engine 'tensorrt': unknown; choose from pbgen, pbgen-int8, pytorch"),
    ("PACKED --size 64", "g.safetensors has no free sizes; leave it out"),
    ("PACKED --size 64y64", "--size 64y64: give whole numbers such as 256x256, or 100"),
    ("PACKED --size 0", "--size 0: give whole numbers"),
    ("PACKED --chart empty", "--chart empty: is a folder"),
    ("PACKED --chart missing/bench.png", "--chart missing/bench.png: there is no folder missing"),
    ("PACKED --chart bench.doc", "bench.doc: the ending '.doc' is no chart's; it can be .png, .svg, .pdf"),
]
INFO = [
    ("", "Missing argument 'FILE'"),
    ("missing.safetensors", "missing.safetensors: "),
    ("noise.bin", "noise.bin: "),
    ("truncated.safetensors --json", "truncated.safetensors: "),
    ("foreign.safetensors", "foreign.safetensors: "),
    ("empty", "empty: "),
]
EXPORT = [
    ("PACKED", "Missing option '--output'"),
    ("PACKED -o g.txt", "--output g.txt: its name must end in .onnx"),
    ("PACKED -o missing/g.onnx", "--output missing/g.onnx: there is no folder missing"),
    ("PACKED -o g.onnx --size 4y4", "--size 4y4: give whole numbers"),
    ("PACKED -o g.onnx --size 4", "free sizes are none"),
    ("noise.bin -o g.onnx", "noise.bin: "),
    ("truncated.safetensors -o g.onnx", "truncated.safetensors: "),
]
DEMO = [
    ("--steps 0", "Invalid value for '--steps'"),
    ("--out noise.bin", "noise.bin"),
    ("now", "unexpected extra argument"),
]
OTHER = [("fly", "No such command 'fly'"), ("--fly", "No such option: --fly")]
COMMANDS = {
    "inspect": INSPECT, "train": TRAIN, "evaluate": EVALUATE, "pack": PACK, "generate": GENERATE, "bench": BENCH,
    "info": INFO, "export": EXPORT, "demo": DEMO, "": OTHER,
}  # fmt: skip
CASES = [(f"{command} {rest}".split(), said) for command, cases in COMMANDS.items() for rest, said in cases]


@pytest.fixture
def workplace(tmp_path: Path, trained: Path, packed: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder full of things that are not what the commands want, and the current one."""
    monkeypatch.chdir(tmp_path)
    Path("models.py").write_text(FACTORIES)
    Path("noise.bin").write_bytes(bytes(range(256)))
    Path("empty").mkdir()
    Path("loop.json").symlink_to("loop.json")
    for name in ("half", "damaged"):
        Path(name).mkdir()
        for file in ("config.json", "plan.json", "log.csv"):
            Path(name, file).write_bytes((trained / file).read_bytes())
    Path("damaged", "checkpoint.pt").write_bytes((trained / "checkpoint.pt").read_bytes()[:-1000])
    content = packed.read_bytes()
    Path("truncated.safetensors").write_bytes(content[:-1])
    header = b'{"x":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}  '
    Path("foreign.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    return tmp_path


@pytest.mark.parametrize("arguments, said", CASES, ids=[" ".join(arguments) for arguments, _ in CASES])
def test_one_line_and_code_2(
    arguments: list[str], said: str, workplace: Path, trained: Path, packed: Path, pictures: Path, pbgen: Command
) -> None:
    places = {"RUN": trained, "PACKED": packed, "PICTURES": pictures}
    before = {path: path.stat().st_mtime_ns for path in workplace.rglob("*") if path.is_file()}
    outcome = pbgen(*(places.get(argument, argument) for argument in arguments))
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1 and outcome.err.startswith("pbgen: ")
    assert said in outcome.err
    assert "Traceback" not in outcome.err + outcome.out
    after = {path: path.stat().st_mtime_ns for path in workplace.rglob("*") if path.is_file()}
    assert {path: time for path, time in after.items() if "__pycache__" not in path.parts} == before


@pytest.mark.parametrize("arguments", [["generate", "noise.bin", "-o", "grid.png"], ["inspect", "dcgan65"], ["train"]])
def test_the_same_in_a_process_of_its_own(arguments: list[str], workplace: Path) -> None:
    outcome = finish(start(*arguments))
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)


@pytest.mark.parametrize("command", [["inspect", "dcgan64"], ["train", "--out", "r"], ["demo"]])
def test_without_the_train_extra(command: list[str]) -> None:
    outcome = finish(start(*command, before="import sys; sys.modules['torch'] = None"))
    assert outcome.code == 2
    assert re.fullmatch(r"pbgen: [\w. ]+ needs torch: pip install 'pbgen\[train\]'\n", outcome.err)


def test_without_the_onnx_extra(packed: Path, tmp_path: Path) -> None:
    before = "import sys; sys.modules['onnxscript'] = sys.modules['onnxruntime'] = None"
    outcome = finish(start("export", packed, "-o", tmp_path / "g.onnx", before=before))
    assert outcome.code == 2
    assert re.fullmatch(r"pbgen: [\w. ]+ needs onnx\w+: pip install 'pbgen\[onnx\]'\n", outcome.err), outcome.err


def test_without_typer() -> None:
    outcome = finish(start("inspect", "dcgan64", before="import sys; sys.modules['typer'] = None"))
    assert (outcome.code, outcome.err) == (2, "pbgen: the command line needs typer: pip install 'pbgen[train]'\n")


@pytest.mark.parametrize("arguments", [["--help"], [], ["train", "--help"]])
def test_help_needs_nothing_heavy(arguments: list[str]) -> None:
    check = """
import atexit, os, sys
heavy = {"torch", "matplotlib", "PIL", "lightning_fabric", "numpy"}
atexit.register(lambda: os._exit(3) if heavy & set(sys.modules) else None)
"""
    outcome = finish(start(*arguments, before=check))
    assert (outcome.code, outcome.err) == (0, "")
    assert "Usage: pbgen" in outcome.out


def test_code_that_a_run_names_does_not_run(workplace: Path, trained: Path, pbgen: Command) -> None:
    shutil.copytree(trained, "foreign")
    Path("evil net.py").write_text("open('ran', 'w').close()")
    config = json.loads(Path("foreign/config.json").read_text())
    Path("foreign/config.json").write_text(json.dumps(config | {"model": "../evil net.py:gan"}))
    file = f"{workplace}/foreign/../evil net.py"
    for arguments, option in (
        (["pack", "foreign", "-o", "g.safetensors"], "--model"),
        (["evaluate", "foreign", "-n", "64"], "--model"),
        (["train", "--resume", "--out", "foreign"], "--model"),
        (["train", "--teacher", "foreign", "--out", "new"], "--teacher-model"),
    ):
        outcome = pbgen(*arguments)
        assert outcome.code == 2 and outcome.err.count("\n") == 1
        told = f"its model is the Python file {file}; it runs only if you name it: "
        assert outcome.err.endswith(f"{told}{shlex.join(['pbgen', *arguments, option, f'{file}:gan'])}\n")
    assert not Path("ran").exists() and not Path("new").exists()


def test_nothing_in_the_current_folder_runs(workplace: Path, packed: Path, pbgen: Command) -> None:
    Path("json.py").write_text("open('ran', 'w').close()")
    assert pbgen("bench", packed, "--engine", "pytorch", "--rounds", 1, "--threads", 1).code == 0
    assert not Path("ran").exists()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_want_of_memory(error: Exception, pbgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("pbgen.models.load", fail)
    outcome = pbgen("inspect", "dcgan64")
    assert (outcome.code, outcome.err) == (2, "pbgen: out of memory; give a smaller --width\n")


def test_bugs_are_not_hidden(pbgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def bug(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("pbgen.models.load", bug)
    with pytest.raises(ZeroDivisionError):
        pbgen("inspect", "dcgan64")


def test_nor_is_a_broken_package(pbgen: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pbgen.report.tables", None)
    with pytest.raises(ImportError):
        pbgen("inspect", "dcgan64")
