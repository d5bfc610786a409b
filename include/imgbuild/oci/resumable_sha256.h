// SHA-256 that can be stopped and gone on with in another process: who knows
// the state after a prefix need not have its bytes again.
#ifndef IMGBUILD_OCI_RESUMABLE_SHA256_H_
#define IMGBUILD_OCI_RESUMABLE_SHA256_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "imgbuild/oci/digest.h"
#include "imgbuild/util/io.h"

namespace imgbuild::oci {

class ResumableSha256 : public Writer {
 public:
  static constexpr size_t kStateBytes = 32;

  ResumableSha256();
  ~ResumableSha256() override;
  void Write(Bytes bytes) override;
  uint64_t size() const { return size_; }
  // After size() bytes; "" where they are not a multiple of the hash's block.
  std::string State() const;
  // As if the `size` bytes that led to `state` were what was written.
  // REQUIRES: State() returned it.
  void Resume(std::string_view state, uint64_t size);
  Digest Finish();  // once

 private:
  struct Context;
  const std::unique_ptr<Context> context_;
  uint64_t size_ = 0;
};

}  // namespace imgbuild::oci

#endif  // IMGBUILD_OCI_RESUMABLE_SHA256_H_
