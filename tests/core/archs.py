"""The instruction sets that there are kernels for, by processor."""

import platform

ARCHS = {
    "x86_64": ["portable", "avx2", "avx2-vnni", "avx512", "avx512-vbmi"],
    "aarch64": ["portable", "neon", "neon-dotprod"],
    "arm64": ["portable", "neon", "neon-dotprod"],
}

HERE = ARCHS.get(platform.machine(), ["portable"])
