# What training needs beside the engine, for the Python module alone.
add_library(pbgen_training STATIC src/training.cpp)
# Nobody looks at floating-point exceptions; where they count, a choice between two numbers cannot become vectors.
set_source_files_properties(src/training.cpp PROPERTIES COMPILE_OPTIONS -fno-trapping-math)
target_include_directories(pbgen_training PUBLIC src)
target_link_libraries(pbgen_training PUBLIC pbgen_core)
set_target_properties(pbgen_training PROPERTIES
  POSITION_INDEPENDENT_CODE ON CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
