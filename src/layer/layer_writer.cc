#include "imgbuild/layer/layer_writer.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "imgbuild/layer/member_recipe.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "layer/entry_encoder.h"
#include "layer/member_pipeline.h"

namespace imgbuild::layer {
namespace {

constexpr uint64_t kCutEvery = MemberCuts::kWholeEntry;
constexpr size_t kEndOfArchive = 2 * kTarBlock;
constexpr char kByRecipe[] = "recipe:";

bool IsClean(std::string_view path) {
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

Error ChangedWhileRead(const Entry& entry) {
  return Error(ErrorCode::kHost,
               Quoted(entry.path) + " changed while it was read");
}

// Counts and, if it is wanted, hashes what passes.
class CountingWriter : public Writer {
 public:
  CountingWriter(Writer& next, bool hash) : next_(next) {
    if (hash) hasher_.emplace();
  }
  void Write(Bytes bytes) override {
    if (hasher_) hasher_->Write(bytes);
    size_ += bytes.size();
    next_.Write(bytes);
  }
  uint64_t size() const { return size_; }
  std::optional<oci::Digest> Finish() {
    if (!hasher_) return std::nullopt;
    return hasher_->Finish();
  }

 private:
  Writer& next_;
  std::optional<oci::Hasher> hasher_;
  uint64_t size_ = 0;
};

}  // namespace

struct LayerWriter::Impl {
  Impl(Writer& writer, ThreadPool& pool, LayerWriterOptions options)
      : out(writer),
        blob(writer, options.hash_blob),
        tar(options.tar),
        keep_index(options.keep_index) {
    if (options.compression != oci::Compression::kNone) {
      pipeline.emplace(blob, pool,
                       MemberPipeline::Options{options.compression,
                                               std::move(options.previous),
                                               keep_index, options.tar});
    }
  }

  void BeginEntry(const Entry& entry, uint64_t entry_bytes) {
    if (cuts.Begins(entry.path, entry_bytes)) Cut();
    entry_offset = 0;
    current = &entry;
    Note(0);
  }

  // In the index: this entry begins or goes on in this member.
  void Note(uint64_t continued_at) {
    if (!keep_index || !pipeline || current == nullptr) return;
    AppendEntry(current->type, current->path, continued_at,
                &pipeline->entries());
  }

  ByteBuffer& buffer() { return pipeline ? pipeline->current() : plain; }

  void Cut() {
    if (pipeline) {
      pipeline->Cut();
    } else {
      out.Write(plain.bytes());
      plain.Truncate(0);
    }
  }

  void BeginMember() {
    Cut();
    cuts = MemberCuts();
  }

  // Room for the next bytes of the entry: up to the next cut, which is made
  // first when it is due.
  std::span<std::byte> Room(uint64_t wanted) {
    if (entry_offset > 0 && entry_offset % kCutEvery == 0) {
      Cut();
      Note(entry_offset);
    }
    const uint64_t to_cut = kCutEvery - entry_offset % kCutEvery;
    return buffer().Extend(static_cast<size_t>(std::min(wanted, to_cut)));
  }
  void Took(Bytes bytes) {
    entry_offset += bytes.size();
    if (pipeline) return;  // which passes the tar on by members
    tar_hasher.Write(bytes);
    if (tar != nullptr) tar->Write(bytes);
  }

  void Append(Bytes bytes) {
    while (!bytes.empty()) {
      const auto room = Room(bytes.size());
      std::memcpy(room.data(), bytes.data(), room.size());
      Took(room);
      bytes = bytes.subspan(room.size());
    }
  }

  void AppendContent(const Entry& entry, Reader* content) {
    uint64_t left = entry.size;
    if (left > 0 && content == nullptr) {
      throw Error(ErrorCode::kHost,
                  "internal: no content for " + Quoted(entry.path));
    }
    while (left > 0) {
      const auto room = Room(left);
      for (size_t done = 0; done < room.size();) {
        const size_t n = content->Read(room.subspan(done));
        if (n == 0) throw ChangedWhileRead(entry);
        done += n;
      }
      Took(room);
      left -= room.size();
    }
    std::byte beyond{};
    if (content != nullptr && content->Read({&beyond, 1}) != 0) {
      throw ChangedWhileRead(entry);
    }
  }

  void AppendZeros(uint64_t count) {
    static constexpr std::byte kZeros[kEndOfArchive] = {};
    Append(Bytes(kZeros, static_cast<size_t>(count)));
  }

  Writer& out;
  CountingWriter blob;                     // `out`, for what is compressed
  std::optional<MemberPipeline> pipeline;  // nullopt: the blob is the tar
  ByteBuffer plain;
  oci::Hasher tar_hasher;  // without a pipeline
  MemberCuts cuts;
  Writer* const tar;
  const bool keep_index;
  const Entry* current = nullptr;  // during Add() only
  uint64_t entry_offset = 0;
  uint64_t entries = 0;
  std::string last_path;
};

LayerWriter::LayerWriter(Writer& blob, ThreadPool& pool,
                         LayerWriterOptions options)
    : impl_(std::make_unique<Impl>(blob, pool, std::move(options))) {}
LayerWriter::~LayerWriter() = default;

void LayerWriter::Add(const Entry& entry, Reader* content) {
  if (!IsClean(entry.path) ||
      (impl_->entries > 0 && entry.path <= impl_->last_path)) {
    throw Error(ErrorCode::kHost, "internal: layer entry " +
                                      Quoted(entry.path) + " after " +
                                      Quoted(impl_->last_path));
  }
  const std::string header = EncodeHeader(entry);
  const uint64_t size = entry.type == EntryType::kFile ? entry.size : 0;
  const uint64_t padding = PaddingAfter(size);
  impl_->BeginEntry(entry, header.size() + size + padding);
  impl_->Append(AsBytes(header));
  if (entry.type == EntryType::kFile) impl_->AppendContent(entry, content);
  impl_->AppendZeros(padding);
  impl_->current = nullptr;
  impl_->last_path = entry.path;
  ++impl_->entries;
}

bool LayerWriter::wants_recipes() const {
  return impl_->pipeline.has_value() && impl_->keep_index;
}

void LayerWriter::NameMember(const std::string& recipe) {
  impl_->BeginMember();
  impl_->pipeline->Name(kByRecipe + recipe);
}

bool LayerWriter::HasMember(const std::string& recipe) const {
  return impl_->pipeline->Has(kByRecipe + recipe);
}

void LayerWriter::TakeMember(const std::string& recipe, uint64_t entries,
                             const std::string& last_path) {
  impl_->BeginMember();
  impl_->pipeline->Take(kByRecipe + recipe);
  impl_->entries += entries;
  impl_->last_path = last_path;
}

uint64_t LayerWriter::entries() const { return impl_->entries; }

WrittenLayer LayerWriter::Finish() {
  impl_->entry_offset = 0;
  impl_->AppendZeros(kEndOfArchive);
  if (!impl_->pipeline) {
    const uint64_t tar_size = impl_->tar_hasher.size();
    impl_->Cut();
    const oci::Digest digest = impl_->tar_hasher.Finish();
    return WrittenLayer{oci::DiffId(digest), digest, tar_size, tar_size};
  }
  impl_->pipeline->Finish();
  const uint64_t tar_size = impl_->pipeline->tar_size();
  return WrittenLayer{oci::DiffId(impl_->pipeline->FinishTar()),
                      impl_->blob.Finish(), impl_->blob.size(), tar_size};
}

MemberIndex LayerWriter::index() {
  return MemberIndex{impl_->pipeline->TakeRecords()};
}

}  // namespace imgbuild::layer
