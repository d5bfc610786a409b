// Removing names and images: rmi and prune share it. Names go first, an image
// goes with its last name, a container keeps its image.
#ifndef IMGBUILD_CLI_IMAGE_REMOVER_H_
#define IMGBUILD_CLI_IMAGE_REMOVER_H_

#include <string>
#include <vector>

#include "cli/app.h"

namespace imgbuild::cli {

class ImageRemover {
 public:
  // `untagged` and `deleted` are the words of its lines ("Untagged: ",
  // "Deleted: ").
  ImageRemover(App& app, bool force, std::string untagged, std::string deleted)
      : app_(app),
        force_(force),
        untagged_(std::move(untagged)),
        deleted_(std::move(deleted)) {}

  // What `rmi WORD` does (cli.md B.8). Throws Error(kFailed) in Docker's words
  // when something is in the way.
  void Remove(const std::string& word);
  // What `rmi -f --platform PLATFORM WORD` does: that image of an index, under
  // all names; tags of the index go to another of its images that is here.
  void RemovePlatform(const std::string& word, const std::string& platform);
  // The image and all its names. REQUIRES: nothing uses it.
  void RemoveWhole(const store::ImageRecord& image);
  // Gives back the space of what was removed. REQUIRES: no lease.
  store::Swept Sweep();
  bool removed_any() const { return !released_.empty(); }

 private:
  store::ImageStore& images() { return app_.store().images(); }
  void Untag(const store::NameRecord& name);
  void RemoveByName(const store::Match& match, const std::string& word);
  void DropLinks(const std::vector<store::NameRecord>& names,
                 const store::NameRecord& gone);
  void RemoveById(const store::ImageRecord& image, const std::string& word);
  void Delete(const store::ImageRecord& image);
  void TellWhatIsLeft(const std::vector<store::NameRecord>& left);

  App& app_;
  bool force_;
  std::string untagged_;
  std::string deleted_;
  // Blobs and DiffIds that only the removed images may have needed.
  std::vector<oci::Digest> released_;
};

}  // namespace imgbuild::cli

#endif  // IMGBUILD_CLI_IMAGE_REMOVER_H_
