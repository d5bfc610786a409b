#include "cli/store_limit.h"

#include <fcntl.h>
#include <fmt/format.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::cli {

std::optional<uint64_t> ParseStoreMax(const std::string& text) {
  if (text.empty()) return std::nullopt;
  const auto bytes = ParseByteSize(text);
  if (bytes && *bytes > 0) return bytes;
  throw Error(ErrorCode::kUsage, "invalid --store-max " + Quoted(text))
      .WithHint("it is a size such as 20G or 500M");
}

void AddLockedDigests(const lock::Lockfile& lock, std::set<oci::Digest>* out) {
  for (const lock::ImagePin& pin : lock.images) {
    out->insert(pin.digest);
    for (const auto& [platform, image] : pin.platforms) {
      out->insert(image.manifest);
      out->insert(image.config);
    }
  }
  for (const lock::UrlPin& pin : lock.urls) out->insert(pin.checksum);
  for (const lock::ExpectedOutput& output : lock.outputs) {
    out->insert(output.manifest);
  }
}

std::set<oci::Digest> LockedDigests(const std::vector<std::string>& files) {
  std::set<oci::Digest> digests;
  for (const std::string& file : files) {
    const UniqueFd fd = fs::Open(AT_FDCWD, file, O_RDONLY);
    FdReader reader(fd.get(), file);
    AddLockedDigests(lock::Parse(std::make_shared<SourceFile>(
                         file, ReadAll(reader, lock::kMaxLockBytes, file))),
                     &digests);
  }
  return digests;
}

uint64_t KeepBelow(App& app, uint64_t max_bytes,
                   const std::set<oci::Digest>& keep) {
  const store::LimitResult result = app.store().KeepBelow({max_bytes, keep});
  if (result.bytes <= max_bytes) return result.freed;
  Error error(ErrorCode::kHost,
              fmt::format("the store takes {}, --store-max is {}",
                          HumanSize(result.bytes), HumanSize(max_bytes)));
  if (result.busy) {
    throw error.WithHint(
        "another command is using the store, so nothing was removed: try "
        "again when it is done");
  }
  error.WithNote("what is left is in use:");
  for (const store::LimitResult::Holder& holder : result.holders) {
    error.WithNote(
        fmt::format("  {:>8}  {}", HumanSize(holder.bytes), holder.what));
  }
  throw error.WithHint(
      "remove tags with rmi, containers with rm, or give a larger limit");
}

}  // namespace imgbuild::cli
