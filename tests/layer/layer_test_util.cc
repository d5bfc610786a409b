#include "layer/layer_test_util.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "imgbuild/util/io.h"

namespace imgbuild::layer {
namespace {

void PutOctal(std::string* block, size_t offset, size_t size, uint64_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "%0*llo", static_cast<int>(size - 1),
                static_cast<unsigned long long>(value));
  std::memcpy(block->data() + offset, text, size - 1);
}

void PadTo512(std::string* out) {
  out->append((512 - out->size() % 512) % 512, '\0');
}

std::string Octal(uint32_t mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%o", mode);
  return text;
}

void Describe(int dirfd, const std::string& prefix,
              std::vector<std::string>* lines) {
  for (const std::string& name : fs::ListDir(dirfd)) {
    const auto st = fs::LstatIfExists(dirfd, name);
    if (!st) continue;
    const std::string path = prefix + name;
    const std::string meta = Octal(st->st_mode & 07777) + " " +
                             std::to_string(st->st_uid) + ":" +
                             std::to_string(st->st_gid) + " " + path;
    const std::string links =
        st->st_nlink > 1 ? " #" + std::to_string(st->st_nlink) : "";
    const std::string device = " " + std::to_string(major(st->st_rdev)) + "," +
                               std::to_string(minor(st->st_rdev));
    switch (st->st_mode & S_IFMT) {
      case S_IFDIR: {
        const auto xattrs = fs::ListXattrs(dirfd, name);
        const bool opaque = xattrs.contains("trusted.overlay.opaque") ||
                            xattrs.contains("user.overlay.opaque");
        lines->push_back("d " + meta + (opaque ? " !" : ""));
        const UniqueFd fd(
            ::openat(dirfd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
        if (fd) Describe(fd.get(), path + "/", lines);
        break;
      }
      case S_IFREG: {
        std::string data = fs::ReadFile(dirfd, name, 1u << 30);
        if (data.size() > 40) data = std::to_string(data.size()) + " bytes";
        lines->push_back("f " + meta + " =" + data + links);
        break;
      }
      case S_IFLNK:
        lines->push_back("l " + path + " -> " + fs::ReadLink(dirfd, name) +
                         links);
        break;
      case S_IFCHR:
        if (st->st_rdev == 0) {
          lines->push_back("w " + path);
        } else {
          lines->push_back("c " + meta + device);
        }
        break;
      case S_IFBLK:
        lines->push_back("b " + meta + device);
        break;
      case S_IFIFO:
        lines->push_back("p " + meta);
        break;
      default:
        lines->push_back("? " + meta);
    }
  }
}

}  // namespace

TarBuilder& TarBuilder::Raw(char type, const std::string& name,
                            const std::string& link, const std::string& data,
                            uint64_t declared_size, uint32_t mode) {
  std::string block(512, '\0');
  std::memcpy(block.data(), name.data(), std::min<size_t>(name.size(), 100));
  PutOctal(&block, 100, 8, mode);
  PutOctal(&block, 108, 8, uid_);
  PutOctal(&block, 116, 8, gid_);
  PutOctal(&block, 124, 12, declared_size);
  PutOctal(&block, 136, 12, static_cast<uint64_t>(mtime_));
  block[156] = type;
  std::memcpy(block.data() + 157, link.data(),
              std::min<size_t>(link.size(), 100));
  std::memcpy(block.data() + 257, "ustar\00000", 8);
  std::memset(block.data() + 148, ' ', 8);
  uint64_t sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  PutOctal(&block, 148, 7, sum);
  block[154] = '\0';
  out_ += block + data;
  PadTo512(&out_);
  return *this;
}

TarBuilder& TarBuilder::File(const std::string& name, const std::string& data,
                             uint32_t mode) {
  return Raw('0', name, "", data, data.size(), mode);
}
TarBuilder& TarBuilder::Dir(const std::string& name, uint32_t mode) {
  return Raw('5', name, "", "", 0, mode);
}
TarBuilder& TarBuilder::Symlink(const std::string& name,
                                const std::string& target) {
  if (target.size() > 100) Pax({{"linkpath", target}});
  return Raw('2', name, target, "", 0, 0777);
}
TarBuilder& TarBuilder::HardLink(const std::string& name,
                                 const std::string& target,
                                 const std::string& data) {
  return Raw('1', name, target, data, data.size(), 0644);
}
TarBuilder& TarBuilder::Node(char type, const std::string& name,
                             uint32_t major_number, uint32_t minor_number,
                             uint32_t mode) {
  Raw(type, name, "", "", 0, mode);
  std::string header = out_.substr(out_.size() - 512);
  out_.resize(out_.size() - 512);
  PutOctal(&header, 329, 8, major_number);
  PutOctal(&header, 337, 8, minor_number);
  std::memset(header.data() + 148, ' ', 8);
  uint64_t sum = 0;
  for (const char c : header) sum += static_cast<unsigned char>(c);
  PutOctal(&header, 148, 7, sum);
  header[154] = '\0';
  out_ += header;
  return *this;
}
TarBuilder& TarBuilder::Pax(
    const std::vector<std::pair<std::string, std::string>>& records) {
  std::string body;
  for (const auto& [key, value] : records) {
    const size_t rest = key.size() + value.size() + 3;
    size_t length = rest + 1;
    while (rest + std::to_string(length).size() != length) ++length;
    body += std::to_string(length) + " " + key + "=" + value + "\n";
  }
  return Raw('x', "PaxHeader/x", "", body, body.size(), 0644);
}
TarBuilder& TarBuilder::Owner(uint32_t uid, uint32_t gid) {
  uid_ = uid;
  gid_ = gid;
  return *this;
}
TarBuilder& TarBuilder::Time(int64_t mtime) {
  mtime_ = mtime;
  return *this;
}
std::string TarBuilder::Finish() const {
  return out_ + std::string(1024, '\0');
}

Sandbox::Sandbox() : dir_(fs::TempDir::InTmp("layer-test-")) {
  fs::MakeDir(dir_.fd(), "root", 0755);
  root_ = fs::OpenDir(dir_.fd(), "root");
  fs::MakeDir(dir_.fd(), "outside", 0711);
  const UniqueFd outside = fs::OpenDir(dir_.fd(), "outside");
  fs::WriteFileAtomic(outside.get(), "file", "precious", 0640);
  fs::MakeDir(outside.get(), "dir", 0750);
  const timespec times[2] = {{5, 0}, {5, 0}};
  ::utimensat(outside.get(), "file", times, 0);
  ::utimensat(outside.get(), "dir", times, 0);
  ::futimens(outside.get(), times);
  ExpectOutsideUntouched();  // fails when the set-up itself is wrong
}

ExtractResult Sandbox::Extract(const std::string& tar,
                               const ExtractOptions& options) {
  StringReader reader(tar);
  return layer::Extract(reader, root_.get(), options);
}

std::string Sandbox::ExtractError(const std::string& tar,
                                  const ExtractOptions& options) {
  try {
    Extract(tar, options);
  } catch (const Error& error) {
    return error.message();
  }
  ADD_FAILURE() << "expected an Error";
  return "";
}

std::vector<std::string> Sandbox::Tree() const {
  return DescribeTree(root_.get());
}

void Sandbox::ExpectOutsideUntouched() const {
  std::vector<std::string> expected_names = {"outside", "root"};
  EXPECT_EQ(fs::ListDir(dir_.fd()), expected_names);
  const UniqueFd outside = fs::OpenDir(dir_.fd(), "outside");
  const std::string owner =
      std::to_string(::geteuid()) + ":" + std::to_string(::getegid());
  const std::vector<std::string> expected = {
      "d 750 " + owner + " dir", "f 640 " + owner + " file =precious"};
  EXPECT_EQ(DescribeTree(outside.get()), expected);
  const struct ::stat st = fs::Fstat(outside.get());
  EXPECT_EQ(st.st_mode & 07777, 0711u);
  EXPECT_EQ(st.st_mtime, 5);
  EXPECT_EQ(fs::LstatIfExists(outside.get(), "file")->st_mtime, 5);
  EXPECT_EQ(fs::LstatIfExists(outside.get(), "dir")->st_mtime, 5);
  EXPECT_TRUE(fs::ListXattrs(outside.get(), "file").empty());
  EXPECT_TRUE(fs::ListXattrs(outside.get(), "dir").empty());
}

std::string Sandbox::Read(const std::string& path) const {
  const UniqueFd fd = fs::OpenInRoot(root_.get(), path, O_RDONLY);
  return fs::ReadFd(fd.get(), 1u << 30, path);
}
struct ::stat Sandbox::Lstat(const std::string& path) const {
  return fs::LstatIfExists(root_.get(), path).value();
}
bool Sandbox::Exists(const std::string& path) const {
  return fs::LstatIfExists(root_.get(), path).has_value();
}
std::map<std::string, std::string> Sandbox::Xattrs(
    const std::string& path) const {
  return fs::ListXattrs(root_.get(), path);
}

std::vector<std::string> DescribeTree(int dirfd) {
  std::vector<std::string> lines;
  Describe(dirfd, "", &lines);
  return lines;
}

bool IsPrivileged() { return ::geteuid() == 0; }

}  // namespace imgbuild::layer
