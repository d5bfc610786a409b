#include "build/secret.h"

#include <fcntl.h>

#include <cstdlib>

#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::build {
namespace {

constexpr size_t kMaxSecretBytes = size_t{500} * 1024;

}  // namespace

std::optional<std::string> ReadSecret(
    const std::map<std::string, Secret>& secrets, const std::string& id) {
  const auto it = secrets.find(id);
  if (it == secrets.end()) return std::nullopt;
  if (!it->second.env.empty()) {
    const char* text = std::getenv(it->second.env.c_str());
    if (text == nullptr) return std::nullopt;
    return text;
  }
  const UniqueFd file = fs::OpenIfExists(AT_FDCWD, it->second.file, O_RDONLY);
  if (!file) return std::nullopt;
  return fs::ReadFd(file.get(), kMaxSecretBytes,
                    "the file of secret " + Quoted(id));
}

}  // namespace imgbuild::build
