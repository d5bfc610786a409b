// A small blob into the store, under the digest that others call it by:
// ContentStore::Put() names it by sha256.
#ifndef IMGBUILD_SRC_TRANSFER_PUT_BYTES_H_
#define IMGBUILD_SRC_TRANSFER_PUT_BYTES_H_

#include <string_view>

#include "imgbuild/oci/digest.h"
#include "imgbuild/store/content_store.h"
#include "imgbuild/util/io.h"

namespace imgbuild::transfer {

// Throws Error(kRegistry) when that is not its digest.
inline void PutBytes(store::ContentStore& content, const oci::Digest& digest,
                     std::string_view bytes) {
  const auto ingest = content.Begin(digest, bytes.size());
  ingest->Write(AsBytes(bytes));
  ingest->Commit();
}

}  // namespace imgbuild::transfer

#endif  // IMGBUILD_SRC_TRANSFER_PUT_BYTES_H_
