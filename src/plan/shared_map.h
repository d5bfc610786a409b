// Maps whose copies share what they have in common. Ten thousand stages in a
// row, each of which adds a variable, take the room of ten thousand variables
// and not of fifty million.
#ifndef IMGBUILD_PLAN_SHARED_MAP_H_
#define IMGBUILD_PLAN_SHARED_MAP_H_

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace imgbuild::plan {

// By key. A copy costs nothing; Set and Erase make O(log n) new nodes and
// never change one that a copy may hold (an AVL tree with copied paths).
template <typename Value>
class SharedMap {
 public:
  size_t size() const { return size_; }

  // Valid until *this changes.
  const Value* Find(std::string_view key) const {
    const Node* node = root_.get();
    while (node != nullptr) {
      const int order = key.compare(node->entry->first);
      if (order == 0) return &node->entry->second;
      node = (order < 0 ? node->left : node->right).get();
    }
    return nullptr;
  }

  void Set(std::string_view key, Value value) {
    bool added = false;
    root_ = Insert(root_, std::make_shared<const Entry>(key, std::move(value)),
                   added);
    if (added) ++size_;
  }

  // Whether it was there.
  bool Erase(std::string_view key) {
    if (Find(key) == nullptr) return false;
    root_ = Remove(root_, key);
    --size_;
    return true;
  }

  // visit(key, value), in the order of the keys.
  template <typename Visit>
  void ForEach(const Visit& visit) const {
    Walk(root_.get(), visit);
  }

 private:
  struct Entry {
    Entry(std::string_view key, Value value)
        : first(key), second(std::move(value)) {}
    std::string first;
    Value second;
  };
  struct Node;
  using Link = std::shared_ptr<const Node>;
  using EntryLink = std::shared_ptr<const Entry>;
  struct Node {
    EntryLink entry;
    Link left;
    Link right;
    int height;
  };

  static int Height(const Link& node) { return node ? node->height : 0; }

  static Link Make(const EntryLink& entry, const Link& left,
                   const Link& right) {
    return std::make_shared<const Node>(
        Node{entry, left, right, 1 + std::max(Height(left), Height(right))});
  }

  // Make, for subtrees whose heights differ by up to two.
  static Link Balance(const EntryLink& entry, const Link& left,
                      const Link& right) {
    if (Height(left) > Height(right) + 1) {
      if (Height(left->left) >= Height(left->right)) {
        return Make(left->entry, left->left, Make(entry, left->right, right));
      }
      const Link& middle = left->right;
      return Make(middle->entry, Make(left->entry, left->left, middle->left),
                  Make(entry, middle->right, right));
    }
    if (Height(right) > Height(left) + 1) {
      if (Height(right->right) >= Height(right->left)) {
        return Make(right->entry, Make(entry, left, right->left), right->right);
      }
      const Link& middle = right->left;
      return Make(middle->entry, Make(entry, left, middle->left),
                  Make(right->entry, middle->right, right->right));
    }
    return Make(entry, left, right);
  }

  static Link Insert(const Link& node, const EntryLink& entry, bool& added) {
    if (!node) {
      added = true;
      return Make(entry, nullptr, nullptr);
    }
    const int order = entry->first.compare(node->entry->first);
    if (order == 0) return Make(entry, node->left, node->right);
    if (order < 0) {
      return Balance(node->entry, Insert(node->left, entry, added),
                     node->right);
    }
    return Balance(node->entry, node->left, Insert(node->right, entry, added));
  }

  static Link Remove(const Link& node, std::string_view key) {
    const int order = key.compare(node->entry->first);
    if (order < 0) {
      return Balance(node->entry, Remove(node->left, key), node->right);
    }
    if (order > 0) {
      return Balance(node->entry, node->left, Remove(node->right, key));
    }
    if (!node->left) return node->right;
    if (!node->right) return node->left;
    const Node* next = node->right.get();
    while (next->left) next = next->left.get();
    const EntryLink entry = next->entry;
    return Balance(entry, node->left, Remove(node->right, entry->first));
  }

  template <typename Visit>
  static void Walk(const Node* node, const Visit& visit) {
    if (node == nullptr) return;
    Walk(node->left.get(), visit);
    visit(node->entry->first, node->entry->second);
    Walk(node->right.get(), visit);
  }

  Link root_;
  size_t size_ = 0;
};

// The same in the order in which the keys were first set.
template <typename Value>
class OrderedMap {
 public:
  size_t size() const { return items_.size(); }

  const Value* Find(std::string_view key) const {
    const Item* item = items_.Find(key);
    return item == nullptr ? nullptr : &item->value;
  }

  // A key that is there keeps its place.
  void Set(std::string_view key, Value value) {
    const Item* item = items_.Find(key);
    items_.Set(key,
               {item == nullptr ? next_++ : item->place, std::move(value)});
  }

  bool Erase(std::string_view key) { return items_.Erase(key); }

  template <typename Visit>
  void ForEach(const Visit& visit) const {
    std::vector<std::pair<const std::string*, const Item*>> all;
    all.reserve(items_.size());
    items_.ForEach([&](const std::string& key, const Item& item) {
      all.emplace_back(&key, &item);
    });
    std::ranges::sort(all, {},
                      [](const auto& one) { return one.second->place; });
    for (const auto& [key, item] : all) visit(*key, item->value);
  }

 private:
  struct Item {
    uint64_t place;
    Value value;
  };
  SharedMap<Item> items_;
  uint64_t next_ = 0;
};

}  // namespace imgbuild::plan

#endif  // IMGBUILD_PLAN_SHARED_MAP_H_
