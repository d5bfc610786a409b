#include "support/memory_store.h"

#include <fcntl.h>

#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"

#include "support/memory_content.h"
#include "support/memory_images.h"
#include "support/memory_snapshotter.h"

namespace imgbuild::store {
namespace {

class MemoryCache : public BuildCache {
 public:
  std::optional<CacheRecord> Find(const oci::Digest& key) override {
    const auto it = records.find(key);
    if (it == records.end()) return std::nullopt;
    return it->second;
  }
  void Put(const oci::Digest& key, const CacheRecord& record) override {
    records.insert_or_assign(key, record);
    if (record.layer) PutLayer(*record.layer);
  }
  std::optional<std::string> LastRecipe(const std::string& slot) override {
    const auto it = slots.find(slot);
    if (it == slots.end()) return std::nullopt;
    return it->second;
  }
  void SetLastRecipe(const std::string& slot,
                     const std::string& recipe) override {
    slots[slot] = recipe;
  }
  std::optional<StoredLayer> FindLayer(const oci::DiffId& diff_id) override {
    const std::scoped_lock lock(layers_mutex);
    const auto it = layers.find(diff_id);
    if (it == layers.end()) return std::nullopt;
    return it->second;
  }
  void PutLayer(const StoredLayer& layer) override {
    const std::scoped_lock lock(layers_mutex);
    layers.insert_or_assign(layer.diff_id, layer);
  }

  std::map<oci::Digest, CacheRecord> records;
  std::map<std::string, std::string> slots;
  std::mutex layers_mutex;  // layers are unpacked several at a time
  std::map<oci::DiffId, StoredLayer> layers;
};

class MemoryStatCache : public context::StatCacheStorage {
 public:
  std::optional<std::string> Load(const std::string& key) override {
    const auto it = entries_.find(key);
    if (it == entries_.end()) return std::nullopt;
    return it->second;
  }
  void Save(const std::string& key,
            const std::function<void(Writer& out)>& write) override {
    StringWriter out;
    write(out);
    entries_[key] = out.Take();
  }

 private:
  std::map<std::string, std::string> entries_;
};

class MemoryContainers : public ContainerStore {
 public:
  explicit MemoryContainers(std::string root) : root_(std::move(root)) {}
  void Add(const ContainerRecord& record) override {
    CheckName(record.name);
    fs::MakeDirs(AT_FDCWD, Directory(record.id), 0700);
    records_.push_back(record);
  }
  std::optional<ContainerRecord> Find(const std::string& text) override {
    for (const ContainerRecord& record : records_) {
      if (record.name == text || record.id.starts_with(text)) return record;
    }
    return std::nullopt;
  }
  std::vector<ContainerRecord> List() override {
    return {records_.rbegin(), records_.rend()};
  }
  bool Update(const ContainerRecord& record) override {
    ContainerRecord* old = Get(record.id);
    if (old == nullptr) return false;
    const std::string name = old->name;
    *old = record;
    old->name = name;
    return true;
  }
  bool Rename(const std::string& id, const std::string& name) override {
    CheckName(name);
    ContainerRecord* record = Get(id);
    if (record != nullptr) record->name = name;
    return record != nullptr;
  }
  bool Remove(const std::string& id) override {
    return std::erase_if(records_, [&](const ContainerRecord& record) {
             return record.id == id;
           }) > 0;
  }
  void SweepAbandoned() override {}
  std::vector<ContainerUse> UsersOf(const oci::ImageId& image) override {
    std::vector<ContainerUse> users;
    for (const ContainerRecord& record : records_) {
      if (record.image != image) continue;
      users.push_back({record.id, record.name, IsLocked(record.id)});
    }
    return users;
  }
  std::string Directory(const std::string& id) const override {
    return root_ + "/containers/" + id;
  }
  std::unique_ptr<ContainerLock> TryLock(const std::string& id) override {
    if (!locked_->insert(id).second) return nullptr;
    return std::make_unique<Held>(locked_, id);
  }
  bool IsLocked(const std::string& id) const override {
    return locked_->contains(id);
  }

 private:
  class Held : public ContainerLock {
   public:
    Held(std::shared_ptr<std::set<std::string>> locked, std::string id)
        : locked_(std::move(locked)), id_(std::move(id)) {}
    ~Held() override { locked_->erase(id_); }

   private:
    std::shared_ptr<std::set<std::string>> locked_;
    std::string id_;
  };
  ContainerRecord* Get(const std::string& id) {
    for (ContainerRecord& record : records_) {
      if (record.id == id) return &record;
    }
    return nullptr;
  }
  void CheckName(const std::string& name) {
    for (const ContainerRecord& record : records_) {
      if (record.name != name) continue;
      throw Error(ErrorCode::kUsage,
                  "Conflict. The container name \"/" + name +
                      "\" is already in use by container \"" + record.id +
                      "\". You have to remove (or rename) that container to "
                      "be able to reuse that name.");
    }
  }
  std::string root_;
  std::vector<ContainerRecord> records_;
  std::shared_ptr<std::set<std::string>> locked_ =
      std::make_shared<std::set<std::string>>();
};

class MemoryMounts : public MountStore {
 public:
  explicit MemoryMounts(std::string root) : root_(std::move(root)) {}
  void Add(const MountRecord& record) override {
    fs::MakeDirs(AT_FDCWD, MountPoint(record.id), 0700);
    records_.insert_or_assign(record.id, record);
  }
  std::vector<MountRecord> List() override {
    std::vector<MountRecord> out;
    for (const auto& [id, record] : records_) out.push_back(record);
    return out;
  }
  std::optional<MountRecord> Find(const std::string& id) override {
    const auto it = records_.find(id);
    if (it == records_.end()) return std::nullopt;
    return it->second;
  }
  void Remove(const std::string& id) override { records_.erase(id); }
  std::string Directory(const std::string& id) const override {
    return root_ + "/mounted/" + id;
  }
  std::string MountPoint(const std::string& id) const override {
    return Directory(id) + "/files";
  }

 private:
  std::string root_;
  std::map<std::string, MountRecord> records_;
};

class MemoryStore : public Store {
 public:
  MemoryStore()
      : dir_(fs::TempDir::InTmp("imgbuild-store-")),
        root_(dir_.path()),
        containers_(root_),
        mounts_(root_),
        holders_(std::make_shared<int>(0)) {}

  ContentStore& content() override { return content_; }
  Snapshotter& snapshots() override { return snapshots_; }
  ImageStore& images() override { return images_; }
  BuildCache& cache() override { return cache_; }
  ContainerStore& containers() override { return containers_; }
  MountStore& mounts() override { return mounts_; }
  context::StatCacheStorage& stat_cache() override { return stat_cache_; }
  const std::string& root() const override { return root_; }
  fs::TempDir NewTemp(const std::string& prefix) override {
    return fs::TempDir(dir_.fd(), prefix);
  }
  std::string CacheMountDir(const std::string& id) override {
    const std::string name = "mounts/" + oci::Digest::OfBytes(id).hex();
    fs::MakeDirs(dir_.fd(), name, 0755);
    return root_ + "/" + name;
  }
  void AddOrigin(const oci::Digest& blob,
                 const oci::Repository& repository) override {
    const std::scoped_lock lock(origins_mutex_);
    origins_[blob].insert(repository);
  }
  std::vector<BlobOrigin> Origins(const oci::Digest& blob) override {
    const std::scoped_lock lock(origins_mutex_);
    std::vector<BlobOrigin> origins;
    for (const oci::Repository& repository : origins_[blob]) {
      origins.push_back({repository});
    }
    return origins;
  }
  std::unique_ptr<Lease> Hold() override {
    return std::make_unique<CountedLease>(holders_);
  }
  Swept SweepExcept(bool drop_cache,
                    const std::vector<oci::Digest>& keep) override {
    if (holders_.use_count() > 1) return {};
    if (drop_cache) cache_.records.clear();
    std::set<oci::Digest> candidates;
    for (const oci::Digest& digest : content_.List()) {
      candidates.insert(digest);
    }
    for (const oci::DiffId& id : snapshots_.List()) {
      candidates.insert(id.digest());
    }
    for (const oci::Digest& digest : keep) candidates.erase(digest);
    return SweepOnly({candidates.begin(), candidates.end()});
  }
  Swept SweepOnly(const std::vector<oci::Digest>& candidates) override {
    if (holders_.use_count() > 1) return {};
    std::set<oci::Digest> needed = images_.Needed();
    for (const auto& [key, record] : cache_.records) {
      if (!record.layer) continue;
      needed.insert(record.layer->diff_id.digest());
      needed.insert(record.layer->blob.digest);
    }
    Swept swept;
    for (const oci::Digest& digest : candidates) {
      if (needed.contains(digest)) continue;
      const oci::DiffId id(digest);
      if (snapshots_.Has(id) && snapshots_.Remove(id)) {
        swept.layers.push_back(id);
      }
      if (const auto size = content_.Size(digest)) {
        content_.Remove(digest);
        swept.blobs.push_back(digest);
        swept.bytes += *size;
      }
    }
    return swept;
  }
  LimitResult KeepBelow(const Limit&) override { return {}; }
  void NoteUse(const oci::Digest&) override {}
  std::vector<Damage> Check(bool, const CancelToken&) override { return {}; }

 private:
  class CountedLease : public Lease {
   public:
    explicit CountedLease(std::shared_ptr<int> holders)
        : holders_(std::move(holders)) {}

   private:
    std::shared_ptr<int> holders_;
  };

  fs::TempDir dir_;
  std::string root_;
  MemoryContainers containers_;
  MemoryMounts mounts_;
  std::shared_ptr<int> holders_;
  MemoryContent content_;
  MemorySnapshotter snapshots_;
  MemoryImages images_;
  MemoryCache cache_;
  MemoryStatCache stat_cache_;
  std::mutex origins_mutex_;  // blobs are copied several at a time
  std::map<oci::Digest, std::set<oci::Repository>> origins_;
};

}  // namespace

std::unique_ptr<Store> NewMemoryStore() {
  return std::make_unique<MemoryStore>();
}

}  // namespace imgbuild::store
