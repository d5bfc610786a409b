// Files between a container and the outside (`cp`), and all of a container's
// files (`export`). What stands inside is reached through a descriptor of the
// container's root, resolved as its own processes would: a link in it leads
// nowhere outside, whoever changes it meanwhile. A running container's files
// are seen with its mounts, those of a stopped one with its volumes; nobody
// starts it while they are looked at.
#ifndef IMGBUILD_CONTAINER_COPY_H_
#define IMGBUILD_CONTAINER_COPY_H_

#include <cstdint>
#include <string>

#include "imgbuild/container/run.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/io.h"

namespace imgbuild::container {

struct CopyOptions {
  // Out of a container: keep owners (else all belongs to the caller). Into
  // one: everything belongs to the container's user, if it has one.
  bool archive = false;
  // A link that is the source stands for what it points to.
  bool follow_link = false;
};

// All return the bytes of the tar stream that passed, as Docker counts, and
// throw Error(kFailed) in Docker's words.

// `path` in the container to `destination` of the host: into it when it is a
// directory, else under that name. A source that ends in "/." is the content
// of that directory.
uint64_t CopyOut(const Engine& engine, const Container& container,
                 const std::string& path, const std::string& destination,
                 const CopyOptions& options, const CancelToken& cancel);
// The same as a tar stream.
uint64_t CopyOutAsTar(const Engine& engine, const Container& container,
                      const std::string& path, Writer& out,
                      const CopyOptions& options, const CancelToken& cancel);
// `source` of the host to `path` in the container, likewise.
uint64_t CopyIn(const Engine& engine, const Container& container,
                const std::string& source, const std::string& path,
                const CopyOptions& options, const CancelToken& cancel);
// Extracts a tar stream (compressed or not) into the directory `path`.
uint64_t CopyInTar(const Engine& engine, const Container& container,
                   Reader& tar, const std::string& path,
                   const CopyOptions& options, const CancelToken& cancel);

// The container's layers and what it has written, without its volumes.
uint64_t ExportFiles(const Engine& engine, const Container& container,
                     Writer& out, const CancelToken& cancel);

}  // namespace imgbuild::container

#endif  // IMGBUILD_CONTAINER_COPY_H_
