# What training needs beside the engine, for the Python module alone.
add_library(pbgen_training STATIC src/training.cpp src/arch/portable/outer.cpp)
if(CMAKE_SYSTEM_PROCESSOR MATCHES "x86_64|AMD64")
  target_sources(pbgen_training PRIVATE src/arch/avx2/outer.cpp src/arch/avx512/outer.cpp)
  set_source_files_properties(src/arch/avx2/outer.cpp PROPERTIES COMPILE_OPTIONS "-mavx2;-mfma")
  set_source_files_properties(src/arch/avx512/outer.cpp PROPERTIES COMPILE_OPTIONS "${avx512}")
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "aarch64|arm64|ARM64")
  target_sources(pbgen_training PRIVATE src/arch/neon/outer.cpp)
endif()
# Nobody looks at floating-point exceptions; where they count, a choice between two numbers cannot become vectors.
set_source_files_properties(src/training.cpp PROPERTIES COMPILE_OPTIONS -fno-trapping-math)
target_include_directories(pbgen_training PUBLIC src)
target_link_libraries(pbgen_training PUBLIC pbgen_core)
set_target_properties(pbgen_training PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
