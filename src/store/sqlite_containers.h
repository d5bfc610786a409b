// ContainerStore on meta.db and containers/.
#ifndef IMGBUILD_SRC_STORE_SQLITE_CONTAINERS_H_
#define IMGBUILD_SRC_STORE_SQLITE_CONTAINERS_H_

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/store/container_store.h"
#include "imgbuild/util/clock.h"

#include "store/layout.h"
#include "store/meta_db.h"

namespace imgbuild::store {

class SqliteContainers : public ContainerStore {
 public:
  SqliteContainers(Layout& layout, MetaDb& db, const Clock& clock)
      : layout_(layout), db_(db), clock_(clock) {}

  void Add(const ContainerRecord& record) override;
  std::optional<ContainerRecord> Find(const std::string& text) override;
  std::vector<ContainerRecord> List() override;
  bool Update(const ContainerRecord& record) override;
  bool Rename(const std::string& id, const std::string& name) override;
  bool Remove(const std::string& id) override;
  void SweepAbandoned() override;
  std::vector<ContainerUse> UsersOf(const oci::ImageId& image) override;
  std::string Directory(const std::string& id) const override;
  std::unique_ptr<ContainerLock> TryLock(const std::string& id) override;
  bool IsLocked(const std::string& id) const override;

 private:
  std::optional<ContainerRecord> FindBy(const char* sql,
                                        const std::string& value);
  std::optional<ContainerRecord> FindPrefix(const std::string& prefix);
  std::optional<std::string> OwnerOf(Database& db, const std::string& name);

  Layout& layout_;
  MetaDb& db_;
  const Clock& clock_;
};

}  // namespace imgbuild::store

#endif  // IMGBUILD_SRC_STORE_SQLITE_CONTAINERS_H_
