#include "layer/libarchive_input.h"

#include <archive.h>

#include <cerrno>

#include "imgbuild/util/error.h"

namespace imgbuild::layer {
namespace {
constexpr size_t kBlockBytes = 256u << 10;
}  // namespace

void FreeArchive::operator()(struct archive* handle) const {
  archive_read_free(handle);
}

LibarchiveInput::LibarchiveInput(Reader& input)
    : input_(input), buffer_(kBlockBytes) {}

void LibarchiveInput::Open(struct archive* handle, std::string_view what) {
  if (archive_read_open(handle, this, nullptr, &OnRead, nullptr) !=
      ARCHIVE_OK) {
    Throw(handle, what);
  }
}

void LibarchiveInput::Throw(struct archive* handle, std::string_view what) {
  if (error_) std::rethrow_exception(error_);
  const char* const text = archive_error_string(handle);
  throw Error(ErrorCode::kRegistry,
              std::string(what) + ": " + (text ? text : "malformed archive"));
}

size_t LibarchiveInput::Fill() {
  if (ended_) return 0;
  const size_t n = input_.Read(buffer_);
  ended_ = n == 0;
  return n;
}

bool LibarchiveInput::Empty() {
  if (ahead_ == 0) ahead_ = Fill();
  return ahead_ == 0;
}

void LibarchiveInput::Drain() {
  ahead_ = 0;
  while (Fill() > 0) {
  }
}

ssize_t LibarchiveInput::OnRead(struct archive* handle, void* self,
                                const void** block) {
  auto* const input = static_cast<LibarchiveInput*>(self);
  try {
    const size_t n = input->ahead_ > 0 ? input->ahead_ : input->Fill();
    input->ahead_ = 0;
    *block = input->buffer_.data();
    return static_cast<ssize_t>(n);
  } catch (...) {
    input->error_ = std::current_exception();
    archive_set_error(handle, EIO, "the input failed");
    return ARCHIVE_FATAL;
  }
}

}  // namespace imgbuild::layer
