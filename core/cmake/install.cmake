# The library, its header, and what find_package(pbgen) and pkg-config read.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(package ${CMAKE_INSTALL_LIBDIR}/cmake/pbgen)
install(TARGETS pbgen_core EXPORT pbgen-targets INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES include/pbgen.h TYPE INCLUDE)
install(EXPORT pbgen-targets NAMESPACE pbgen:: DESTINATION ${package})
write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/pbgen-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES cmake/pbgen-config.cmake ${CMAKE_CURRENT_BINARY_DIR}/pbgen-config-version.cmake DESTINATION ${package})

# A static library leaves it to the program to link the C++ library and the threads. The prefix is where the file lies.
file(RELATIVE_PATH PBGEN_UP /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
if(NOT BUILD_SHARED_LIBS)
  foreach(library IN ITEMS stdc++ c++)
    if(library IN_LIST CMAKE_CXX_IMPLICIT_LINK_LIBRARIES)
      set(PBGEN_NEEDS "-l${library} -lm -pthread")
    endif()
  endforeach()
endif()
configure_file(cmake/pbgen.pc.in pbgen.pc @ONLY)
install(FILES ${CMAKE_CURRENT_BINARY_DIR}/pbgen.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
