# Third-party libraries, each wrapped as one imported target. All of them are
# Debian packages (tools/setup installs them).
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(LibArchive REQUIRED)
find_package(CURL REQUIRED)
find_package(tomlplusplus REQUIRED)
pkg_check_modules(ISAL REQUIRED IMPORTED_TARGET libisal)
pkg_check_modules(SECCOMP REQUIRED IMPORTED_TARGET libseccomp)

# The encoders of layers are part of the layer format: linked statically, so
# that a system upgrade never changes the bytes of a layer.
find_path(DEFLATE_INCLUDE libdeflate.h REQUIRED)
find_library(DEFLATE_STATIC libdeflate.a REQUIRED)
add_library(deflate_static STATIC IMPORTED)
set_target_properties(
  deflate_static PROPERTIES IMPORTED_LOCATION ${DEFLATE_STATIC}
                            INTERFACE_INCLUDE_DIRECTORIES ${DEFLATE_INCLUDE})
find_path(ZSTD_INCLUDE zstd.h REQUIRED)
find_library(ZSTD_STATIC libzstd.a REQUIRED)
add_library(zstd_static STATIC IMPORTED)
set_target_properties(
  zstd_static PROPERTIES IMPORTED_LOCATION ${ZSTD_STATIC}
                         INTERFACE_INCLUDE_DIRECTORIES ${ZSTD_INCLUDE})

# Go's regular expressions, for source policies. Linked statically: a shared
# library would cost every start of the program its loading.
find_path(RE2_INCLUDE re2/re2.h REQUIRED)
find_library(RE2_STATIC libre2.a REQUIRED)
add_library(re2_static STATIC IMPORTED)
set_target_properties(
  re2_static PROPERTIES IMPORTED_LOCATION ${RE2_STATIC}
                        INTERFACE_INCLUDE_DIRECTORIES ${RE2_INCLUDE}
                        INTERFACE_LINK_LIBRARIES Threads::Threads)
