// Contexts that do not lie in a directory of this machine: git repositories,
// files and archives of http(s) servers, a tar on standard input. Their files
// are streamed into a temporary directory of the store (never held in memory),
// which goes away with its owner, and when that died, with the next sweep.
#ifndef IMGBUILD_BUILD_REMOTE_CONTEXT_H_
#define IMGBUILD_BUILD_REMOTE_CONTEXT_H_

#include <memory>
#include <string>
#include <string_view>

#include "imgbuild/build/fetcher.h"
#include "imgbuild/context/context.h"
#include "imgbuild/store/store.h"
#include "imgbuild/util/cancel.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/thread_pool.h"

namespace imgbuild::build {

// Whether a word names one of them: a git URL, http:// or https://.
bool IsRemoteContext(std::string_view text);

// "https://user:token@host/r?x" -> "https://host/r": for messages and rows.
std::string ShownUrl(const std::string& url);

struct FetchedContext {
  enum class Kind {
    kRepository,  // files belong to 0:0
    kArchive,     // owners, modes and attributes are the archive's
    kFile,        // one file, of mode 0600: a Dockerfile, or no archive
  };
  Kind kind = Kind::kFile;
  UniqueFd root;     // the context's root directory, below `dir`
  std::string file;  // kFile: its name in root
  // The commit, or the digest of the bytes that came over the wire: what is
  // the same when the context is the same.
  std::string identity;
  fs::TempDir dir;
};

struct FetchContextOptions {
  // Leave `.git` where it is; the query of the URL wins.
  bool keep_git_dir = false;
  // What a file is called that is no archive; "": as in the URL.
  std::string file_name;
};

// What bounds an archive that somebody else made.
inline constexpr uint64_t kMaxContextBytes = 1ull << 38;  // unpacked: 256 GiB
inline constexpr uint64_t kMaxContextEntries = 5'000'000;

// REQUIRES: IsRemoteContext(url). Throws Error(kRegistry) for what cannot be
// fetched or unpacked, Error(kDockerfile) for a malformed git URL,
// Error(kInterrupted).
FetchedContext FetchContext(store::Store& store, Fetcher& fetcher,
                            const std::string& url,
                            const FetchContextOptions& options,
                            const CancelToken& cancel);

// A tar archive, compressed or not, whose first bytes say so.
FetchedContext UnpackContext(store::Store& store, Reader& archive,
                             const CancelToken& cancel);

// Whether these first bytes (512 where there are so many) begin what
// UnpackContext() takes.
bool LooksLikeContextArchive(std::string_view first_bytes);

// The files as a source of COPY. No ignore file applies to them (as BuildKit
// has it). `fetched` and `pool` must outlive the source.
std::unique_ptr<context::ContextSource> OpenFetchedContext(
    const FetchedContext& fetched, const std::string& name, ThreadPool& pool,
    const CancelToken& cancel);

}  // namespace imgbuild::build

#endif  // IMGBUILD_BUILD_REMOTE_CONTEXT_H_
