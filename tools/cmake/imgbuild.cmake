# Building blocks of the build: settings as INTERFACE targets, one function a
# module, one function a test binary. Everything of ours links the settings
# PRIVATE; nothing third-party ever does.

add_library(imgbuild_settings INTERFACE)
target_compile_features(imgbuild_settings INTERFACE cxx_std_20)
target_include_directories(imgbuild_settings INTERFACE
                           ${PROJECT_SOURCE_DIR}/include)
target_compile_options(
  imgbuild_settings
  INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor
            -Woverloaded-virtual -Wcast-qual -Wundef -Werror
            -fno-strict-aliasing)
# g++ 12 sees overlaps in every `"literal" + std::string` (GCC bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION
                                            VERSION_LESS 13)
  target_compile_options(imgbuild_settings INTERFACE -Wno-restrict)
endif()
target_compile_definitions(imgbuild_settings INTERFACE _FILE_OFFSET_BITS=64)

set(IMGBUILD_SANITIZE "" CACHE STRING "address;undefined or thread")
if(IMGBUILD_SANITIZE)
  list(JOIN IMGBUILD_SANITIZE "," _san)
  add_compile_options(-fsanitize=${_san} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${_san})
endif()

# imgbuild_module(NAME SOURCES ... [DEPS module...] [PUBLIC lib...] [PRIVATE lib...])
# One static library a module: an arrow that points the wrong way does not link.
function(imgbuild_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPS;PUBLIC;PRIVATE" ${ARGN})
  add_library(imgbuild_${name} STATIC ${M_SOURCES})
  target_include_directories(imgbuild_${name}
                             PUBLIC ${PROJECT_SOURCE_DIR}/include
                             PRIVATE ${PROJECT_SOURCE_DIR}/src)
  target_link_libraries(imgbuild_${name} PRIVATE imgbuild_settings)
  foreach(dep IN LISTS M_DEPS)
    target_link_libraries(imgbuild_${name} PUBLIC imgbuild_${dep})
  endforeach()
  target_link_libraries(imgbuild_${name} PUBLIC ${M_PUBLIC}
                                         PRIVATE ${M_PRIVATE})
endfunction()

# imgbuild_test(NAME SOURCES ... [TESTDATA source...] [DEPS module...]
#               [LIBS lib...] [LABELS ...])
# One GoogleTest binary a module; every TEST is a CTest case of its own. The
# sources named under TESTDATA are told where testdata/ is; the others are not,
# so that a compiler cache can serve them to another clone.
function(imgbuild_test name)
  cmake_parse_arguments(T "" "TIMEOUT" "SOURCES;TESTDATA;DEPS;LIBS;LABELS" ${ARGN})
  if(NOT BUILD_TESTING)
    return()
  endif()
  add_executable(${name} ${T_SOURCES})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/src
                                             ${PROJECT_SOURCE_DIR}/tests)
  set_source_files_properties(
    ${T_TESTDATA}
    PROPERTIES COMPILE_DEFINITIONS
               IMGBUILD_TESTDATA="${PROJECT_SOURCE_DIR}/testdata")
  target_link_libraries(${name} PRIVATE imgbuild_settings GTest::gmock
                                        GTest::gtest_main ${T_LIBS})
  foreach(dep IN LISTS T_DEPS)
    target_link_libraries(${name} PRIVATE imgbuild_${dep})
  endforeach()
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  gtest_discover_tests(
    ${name}
    DISCOVERY_TIMEOUT 60
    PROPERTIES TIMEOUT ${T_TIMEOUT} LABELS "${T_LABELS}")
endfunction()
