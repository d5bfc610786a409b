// A reader whose first bytes can be looked at before they are read. Private to
// transfer.
#ifndef IMGBUILD_TRANSFER_SNIFFED_H_
#define IMGBUILD_TRANSFER_SNIFFED_H_

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <string_view>

#include "imgbuild/util/io.h"

namespace imgbuild::transfer {

class Sniffed : public Reader {
 public:
  explicit Sniffed(Reader& input) : input_(input) {
    while (size_ < head_.size()) {
      const size_t n = input_.Read(std::span(head_).subspan(size_));
      if (n == 0) break;
      size_ += n;
    }
  }
  std::string_view head() const { return AsText(Bytes(head_).first(size_)); }
  size_t Read(std::span<std::byte> buffer) override {
    if (at_ == size_) return input_.Read(buffer);
    const size_t n = std::min(buffer.size(), size_ - at_);
    std::copy_n(head_.begin() + static_cast<std::ptrdiff_t>(at_), n,
                buffer.begin());
    at_ += n;
    return n;
  }

 private:
  Reader& input_;
  std::array<std::byte, 512> head_{};
  size_t size_ = 0;
  size_t at_ = 0;
};

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_TRANSFER_SNIFFED_H_
