# Builds for WebAssembly, with the compiler that PyPI's ziglang brings: -DZIG=its program.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR wasm32)
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ZIG)
set(CMAKE_CXX_COMPILER ${ZIG} c++)
set(CMAKE_CXX_ARCHIVE_CREATE "\"${ZIG}\" ar qc <TARGET> <OBJECTS>")
set(CMAKE_CXX_ARCHIVE_FINISH "")
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY)
# What every browser has that has SIMD. Exceptions are thrown, and never caught (core/wasm/system.cpp).
set(CMAKE_CXX_FLAGS_INIT "-target wasm32-wasi -mcpu=generic+simd128+bulk_memory+nontrapping_fptoint+sign_ext+mutable_globals -fignore-exceptions -fno-rtti")
# As small as it can be, but for kernels. Zig takes -Oz for -Os.
set(CMAKE_CXX_FLAGS_RELEASE "-Os -Xclang -Oz -flto -DNDEBUG" CACHE STRING "Flags of release builds")
