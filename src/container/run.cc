#include "imgbuild/container/run.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include "imgbuild/util/error.h"
#include "imgbuild/util/fs.h"
#include "imgbuild/util/strings.h"

namespace imgbuild::container {
namespace {

// Docker makes a missing source as an empty directory of root's; a typing
// error is likelier.
void CheckVolumes(exec::ProcessSpec& spec) {
  for (exec::Mount& mount : spec.mounts) {
    if (mount.type != exec::Mount::Type::kBind) continue;
    struct ::stat st = {};
    if (::stat(mount.source.c_str(), &st) != 0) {
      throw ErrnoError("mount", mount.source, errno, ErrorCode::kUsage);
    }
    mount.target_is_file = !S_ISDIR(st.st_mode);
  }
}

}  // namespace

exec::ExitResult RunForeground(store::Store& store,
                               transfer::Transfer& transfer,
                               exec::Executor& executor,
                               const store::ImageRecord& image,
                               const RunOptions& options,
                               const CancelToken& cancel) {
  const auto lease = store.Hold();
  const auto config_bytes =
      store.content().Read(image.id.digest(), oci::kMaxConfigBytes);
  if (!config_bytes) {
    throw Error(ErrorCode::kHost,
                fmt::format("the config of image {} is gone from the store",
                            image.id.Short()))
        .WithHint("pull or build the image again");
  }
  const oci::ImageConfig config = oci::ParseImageConfig(*config_bytes);
  std::vector<transfer::LayerName> layers;
  for (size_t i = 0; i < image.layers.size(); ++i) {
    layers.push_back({image.diff_ids.at(i), image.layers[i]});
  }
  transfer.EnsureUnpacked(layers);
  const auto root = store.snapshots().View(image.diff_ids);
  exec::ProcessSpec spec = MakeProcess(config, options, *root);
  CheckVolumes(spec);
  // Gone with the scope: the container's own files.
  const auto active = store.snapshots().Prepare(image.diff_ids);
  spec.rootfs = active->mount();
  exec::ExecIo io;
  io.stdin_fd = options.interactive ? 0 : -1;
  if (options.terminal) {
    io.terminal = true;
    io.user_tty_fd = options.interactive ? 0 : -1;
    io.on_output = [](int, std::string_view bytes) {
      fs::WriteAll(1, AsBytes(bytes), "standard output");
    };
  } else {
    io.stdout_fd = 1;
    io.stderr_fd = 2;
  }
  return executor.Run(spec, io, cancel);
}

}  // namespace imgbuild::container
