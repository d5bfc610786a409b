// kill -9 at any instant: a child works on the store and is killed; then the
// store must list, every named thing must be whole, and a sweep must leave
// nothing half-made.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <random>
#include <thread>

#include "imgbuild/util/error.h"

#include "store_test_util.h"
#include "support/layer_tree.h"

namespace imgbuild::store {
namespace {

constexpr int kLayerFiles = 5;

std::string Content(int number) {
  return "content " + std::to_string(number) +
         std::string(static_cast<size_t>(number) * 37 % 3000, 'x');
}
oci::DiffId LayerId(int number) {
  return oci::DiffId(oci::Digest::OfBytes("layer " + std::to_string(number)));
}
std::string LayerFile(int number, int file) {
  return "layer " + std::to_string(number) + " file " + std::to_string(file);
}
// For finding out which layer a DiffId is.
constexpr int kNumbers = 12;

// What a child does, for ever, in an order that `seed` decides.
class Worker {
 public:
  Worker(Store& store, unsigned seed) : store_(store), random_(seed) {}

  [[noreturn]] void Run() {
    for (;;) {
      try {
        Step();
      } catch (const Error& error) {
        // Losing a race is allowed: another child may have swept what this
        // one was about to name.
        if (error.code() == ErrorCode::kHost ||
            error.code() == ErrorCode::kRegistry) {
          continue;
        }
        throw;
      }
    }
  }

 private:
  int Number(int below) {
    return static_cast<int>(random_() % static_cast<unsigned>(below));
  }

  void Step() {
    switch (Number(9)) {
      case 0:
        store_.content().Put(Content(Number(kNumbers)));
        break;
      case 1:
        Resume(Number(kNumbers));
        break;
      case 2:
        Unpack(Number(kNumbers));
        break;
      case 3:
        CommitStep(Number(kNumbers));
        break;
      case 4:
      case 5:
        MakeImage(Number(kNumbers));
        break;
      case 6:
        store_.cache().Put(
            oci::Digest::OfBytes(std::to_string(Number(kNumbers))),
            {std::nullopt, "recipe"});
        break;
      case 7: {
        const auto list = store_.images().List();
        if (!list.empty()) {
          store_.images().RemoveImage(list.front().image.manifest);
        }
        break;
      }
      default:
        store_.Sweep(Number(2) == 0);
        break;
    }
  }

  void Resume(int number) {
    const std::string content = Content(number);
    const auto ingest = store_.content().BeginResumable(
        oci::Digest::OfBytes(content), content.size());
    const auto rest = std::string_view(content).substr(ingest->offset());
    const size_t half = rest.size() / 2;
    ingest->Write(AsBytes(rest.substr(0, half)));
    if (Number(2) == 0) return;
    ingest->Write(AsBytes(rest.substr(half)));
    ingest->Commit();
  }

  void Unpack(int number) {
    const auto lease = store_.Hold();
    const auto pending = store_.snapshots().Begin();
    WriteFiles(pending->fd(), number);
    layer::ExtractResult result;
    result.implied_directories = {"dir"};
    pending->Commit(LayerId(number), result);
    store_.snapshots().Prepare({LayerId(number)});
  }

  void CommitStep(int number) {
    const auto active = store_.snapshots().Prepare({});
    WriteFiles(active->upper_fd(), number);
    active->Commit(LayerId(number));
  }

  static void WriteFiles(int fd, int number) {
    fs::MakeDirs(fd, "dir", 0755);
    for (int i = 0; i < kLayerFiles; ++i) {
      const UniqueFd file =
          fs::Open(fd, "dir/" + std::to_string(i), O_WRONLY | O_CREAT, 0644);
      fs::WriteAll(file.get(), AsBytes(LayerFile(number, i)), "file");
    }
  }

  void MakeImage(int number) {
    const auto lease = store_.Hold();
    const oci::Digest manifest =
        store_.content().Put("manifest " + std::to_string(number));
    const oci::Digest config =
        store_.content().Put("config " + std::to_string(number));
    const oci::Digest layer = store_.content().Put(Content(number));
    store_.images().PutImage({manifest,
                              oci::ImageId(config),
                              oci::Platform::Host(),
                              std::nullopt,
                              1,
                              1,
                              {LayerId(number)},
                              {{std::string(oci::media_type::kOciLayerGzip),
                                layer,
                                1,
                                std::nullopt,
                                {},
                                {},
                                ""}}});
    store_.images().SetName({oci::Repository::Parse("app"),
                             "t" + std::to_string(Number(3)), manifest,
                             manifest, std::nullopt, false});
  }

  Store& store_;
  std::mt19937 random_;
};

class CrashTest : public testing::Test {
 protected:
  pid_t Start(unsigned seed) {
    const pid_t pid = ::fork();
    if (pid != 0) return pid;
    // No destructor of the parent's objects may run in here.
    try {
      const auto store = Store::Open({root_, nullptr});
      Worker(*store, seed).Run();
    } catch (const std::exception& error) {
      ::dprintf(2, "child: %s\n", error.what());
    }
    ::_exit(3);
  }

  static void Kill(pid_t pid) {
    ::kill(pid, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
  }

  // Everything that has a name is whole.
  void CheckWhole(Store& store) {
    for (const oci::Digest& digest : store.content().List()) {
      EXPECT_TRUE(store.content().Read(digest, 1 << 20).has_value());
    }
    for (const oci::DiffId& id : store.snapshots().List())
      CheckLayer(store, id);
    for (const NamedImage& image : store.images().List()) {
      EXPECT_TRUE(store.content().Has(image.image.manifest));
      EXPECT_TRUE(store.content().Has(image.image.id.digest()));
      EXPECT_TRUE(store.content().Has(image.image.layers[0].digest));
      for (const NameRecord& name : image.names) {
        EXPECT_TRUE(store.images().Find(Familiar(name)).has_value());
      }
    }
  }
  static std::string Familiar(const NameRecord& name) {
    return name.repository.Familiar() +
           (name.tag ? ":" + *name.tag : "@" + name.target.ToString());
  }
  static void CheckLayer(Store& store, const oci::DiffId& id) {
    int number = 0;
    while (number < kNumbers && LayerId(number) != id) ++number;
    ASSERT_LT(number, kNumbers);
    const auto view = store.snapshots().View({id});
    ASSERT_EQ(view->List("dir").size(), static_cast<size_t>(kLayerFiles));
    for (int i = 0; i < kLayerFiles; ++i) {
      EXPECT_EQ(ReadFromTree(*view, "dir/" + std::to_string(i), 1000),
                LayerFile(number, i));
    }
  }
  size_t Count(const std::string& directory) {
    return fs::ListDir(fs::OpenDir(AT_FDCWD, root_ + "/" + directory).get())
        .size();
  }

  fs::TempDir dir_ = FastTempDir();
  std::string root_ = dir_.path() + "/root";
};

TEST_F(CrashTest, AnyInstant) {
  constexpr unsigned kRounds = 220;
  constexpr auto kTimeLimit = std::chrono::seconds(90);
  const auto start = std::chrono::steady_clock::now();
  std::mt19937 random(1);
  unsigned round = 0;
  for (; round < kRounds; ++round) {
    if (std::chrono::steady_clock::now() - start > kTimeLimit) break;
    const pid_t child = Start(round);
    ASSERT_GT(child, 0);
    // The first rounds hit the making of the store itself.
    const unsigned below = round < 40 ? 3'000 : 40'000;
    std::this_thread::sleep_for(std::chrono::microseconds(random() % below));
    Kill(child);
    const auto store = Store::Open({root_, nullptr});
    CheckWhole(*store);
    if (HasFailure()) FAIL() << "round " << round;
    if (round % 20 == 19) {
      store->Sweep(true);
      CheckWhole(*store);
      // This store's own directory at most; partial files are dropped too.
      EXPECT_LE(Count("tmp"), 1u) << "round " << round;
    }
  }
  EXPECT_GE(round, 200u) << "too slow to say anything";
}

TEST_F(CrashTest, TwoProcessesAtOnceAndOneDies) {
  std::mt19937 random(2);
  for (unsigned round = 0; round < 12; ++round) {
    const pid_t first = Start(1000 + round);
    const pid_t second = Start(2000 + round);
    std::this_thread::sleep_for(
        std::chrono::microseconds(10'000 + random() % 50'000));
    Kill(first);
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    Kill(second);
    const auto store = Store::Open({root_, nullptr});
    CheckWhole(*store);
    if (HasFailure()) FAIL() << "round " << round;
  }
}

TEST_F(CrashTest, TheLivingGoOnBesideTheDead) {
  // Two children to the end, each with its own share.
  Store::Open({root_, nullptr})->images().List();
  std::vector<pid_t> children;
  for (int child = 0; child < 2; ++child) {
    const pid_t pid = ::fork();
    if (pid == 0) {
      try {
        const auto store = Store::Open({root_, nullptr});
        for (int i = 0; i < 25; ++i) {
          const auto lease = store->Hold();
          store->content().Put(Content(i));
          const auto pending = store->snapshots().Begin();
          pending->Commit(LayerId(i), {});
          store->cache().Put(
              oci::Digest::OfBytes(std::to_string(child * 100 + i)),
              {std::nullopt, "r"});
        }
        ::_exit(0);
      } catch (const std::exception& error) {
        ::dprintf(2, "child: %s\n", error.what());
      }
      ::_exit(1);
    }
    children.push_back(pid);
  }
  for (const pid_t pid : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  const auto store = Store::Open({root_, nullptr});
  EXPECT_EQ(store->content().List().size(), 25u);
  EXPECT_EQ(store->snapshots().List().size(), 25u);
  for (int child = 0; child < 2; ++child) {
    for (int i = 0; i < 25; ++i) {
      EXPECT_TRUE(
          store->cache()
              .Find(oci::Digest::OfBytes(std::to_string(child * 100 + i)))
              .has_value());
    }
  }
}

// Several first starts at the same moment.
TEST_F(CrashTest, ManyProcessesMeetAnEmptyStore) {
  constexpr int kProcesses = 6;
  for (int round = 0; round < 8; ++round) {
    const std::string root = root_ + std::to_string(round);
    int gate[2];
    ASSERT_EQ(::pipe2(gate, O_CLOEXEC), 0);
    std::vector<pid_t> children;
    for (int child = 0; child < kProcesses; ++child) {
      const pid_t pid = ::fork();
      if (pid == 0) {
        char byte = 0;
        ::close(gate[1]);
        (void)!::read(gate[0], &byte, 1);  // ends when the parent closes it
        try {
          const auto store = Store::Open({root, nullptr});
          store->content().Put("x");
          store->cache().Put(oci::Digest::OfBytes(std::to_string(child)),
                             {std::nullopt, "r"});
          ::_exit(store->images().List().empty() ? 0 : 2);
        } catch (const std::exception& error) {
          ::dprintf(2, "child: %s\n", error.what());
        }
        ::_exit(1);
      }
      children.push_back(pid);
    }
    ::close(gate[0]);
    ::close(gate[1]);
    for (const pid_t pid : children) {
      int status = 0;
      ASSERT_EQ(::waitpid(pid, &status, 0), pid);
      EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    const auto store = Store::Open({root, nullptr});
    for (int child = 0; child < kProcesses; ++child) {
      EXPECT_TRUE(store->cache()
                      .Find(oci::Digest::OfBytes(std::to_string(child)))
                      .has_value());
    }
    if (HasFailure()) return;
  }
}

TEST_F(CrashTest, ALeaseOfADeadProcessHoldsNothing) {
  const auto store = Store::Open({root_, nullptr});
  const oci::Digest loose = store->content().Put("loose");
  const oci::DiffId id = LayerId(1);
  store->snapshots().Begin()->Commit(id, {});
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto other = Store::Open({root_, nullptr});
    const auto lease = other->Hold();
    const auto view = other->snapshots().View({id});
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_TRUE(store->Sweep(true).blobs.empty());
  EXPECT_FALSE(store->snapshots().Remove(id));
  Kill(pid);
  ::close(ready[0]);
  ::close(ready[1]);
  const Swept swept = store->Sweep(true);
  EXPECT_EQ(swept.blobs, std::vector<oci::Digest>{loose});
  EXPECT_EQ(swept.layers, std::vector<oci::DiffId>{id});
}

// One process fetches; another that wants the same blob waits for it and finds
// it; and when the fetcher dies, the other one goes on where it stopped.
TEST_F(CrashTest, ADownloadIsTakenOverFromADeadProcess) {
  const auto store = Store::Open({root_, nullptr});
  const std::string content = Content(5);
  const oci::Digest digest = oci::Digest::OfBytes(content);
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t pid = ::fork();
  if (pid == 0) {
    const auto other = Store::Open({root_, nullptr});
    const auto ingest = other->content().BeginResumable(digest, content.size());
    ingest->Write(AsBytes(content.substr(0, 10)));
    (void)!::write(ready[1], "x", 1);
    ::pause();
    ::_exit(0);
  }
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  std::thread killer([pid] {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    ::kill(pid, SIGKILL);
  });
  const auto began = std::chrono::steady_clock::now();
  const auto ingest = store->content().BeginResumable(digest, content.size());
  EXPECT_GE(std::chrono::steady_clock::now() - began,
            std::chrono::milliseconds(40));
  killer.join();
  ::waitpid(pid, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(ingest->offset(), 10u);
  ingest->Write(AsBytes(content.substr(10)));
  EXPECT_EQ(ingest->Commit(), digest);
}

}  // namespace
}  // namespace imgbuild::store
