"""The loader against what a fuzzer thinks up, a short while; core/README.md says how to let it run longer."""

import shutil
import subprocess
from functools import cache
from pathlib import Path

import pytest
from builds import CORE, build, needs_cmake, run
from fuzz_corpus import write_corpus

TARGET = 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }'


@cache
def has_fuzzer() -> bool:
    clang = shutil.which("clang++")
    command = [str(clang), "-fsanitize=fuzzer,address,undefined", "-x", "c++", "-", "-o", "/dev/null"]
    return bool(clang) and subprocess.run(command, input=TARGET, text=True, capture_output=True).returncode == 0


@needs_cmake
def test_the_fuzzer_finds_nothing(tmp_path: Path) -> None:
    if not has_fuzzer():
        pytest.skip("needs clang++ with libFuzzer")
    # Not optimized: the build takes longer than the test.
    compiler = ["-DCMAKE_CXX_COMPILER=clang++", "-DCMAKE_BUILD_TYPE=", "-DCMAKE_CXX_FLAGS=-g1"]
    fuzzer = build("fuzz", "-DPBGEN_FUZZ=ON", "-DPBGEN_RUN=OFF", *compiler) / "tests" / "pbgen_fuzz_loader"
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    write_corpus(corpus)
    dictionary = f"-dict={CORE / 'tests' / 'fuzz_loader.dict'}"
    # The same inputs each time, so that a machine's speed decides nothing.
    # The sanitizer watches the memory in use: libFuzzer's own limit looks at the peak, which Linux passes on from the
    # process that started this one, and the tests' process may have used more.
    limits = ["-runs=2000", "-seed=1", "-max_len=8192", "-timeout=60", "-rss_limit_mb=0", "-malloc_limit_mb=64"]
    sanitizer = "hard_rss_limit_mb=1024"
    run(fuzzer, dictionary, *limits, f"-artifact_prefix={tmp_path}/", corpus, ASAN_OPTIONS=sanitizer)
