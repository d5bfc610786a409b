// Stands in for libFuzzer: feeds every file of a corpus to the target, and
// then mutations of it that are the same on every machine and at every run.
//   TARGET ROUNDS CORPUS-DIR
// A failing input is told by the file and the round (`TARGET ROUNDS DIR` stops
// at the same one again); the target itself aborts or the sanitizer does.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace {

using Input = std::vector<uint8_t>;

constexpr size_t kBlock = 512;

class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed * 2 + 1) {}
  size_t Below(size_t limit) {
    state_ = state_ * 6364136223846793005 + 1442695040888963407;
    return static_cast<size_t>(state_ >> 33) % limit;
  }

 private:
  uint64_t state_;
};

// A byte that parsers care about more often than not.
uint8_t Byte(Random& random) {
  static constexpr uint8_t kTelling[] = {0,    1,   '/',  '.', '\n', ' ', '0',
                                         '7',  '9', '=',  '"', '$',  '{', '}',
                                         '\\', '#', 0x7f, 128, 255};
  if (random.Below(2) == 0) return kTelling[random.Below(sizeof kTelling)];
  return static_cast<uint8_t>(random.Below(256));
}

void MutateOnce(Random& random, const Input& other, Input* input) {
  const auto at = [input](size_t i) {
    return input->begin() + static_cast<ptrdiff_t>(i);
  };
  if (input->empty()) {
    input->push_back(Byte(random));
    return;
  }
  size_t pos = random.Below(input->size());
  size_t length = 1 + random.Below(std::min<size_t>(input->size() - pos, 64));
  // Formats made of blocks: whole ones are moved more often than not.
  if (input->size() > kBlock && random.Below(4) != 0) {
    const size_t blocks = input->size() / kBlock;
    const size_t first = random.Below(blocks);
    if (random.Below(2) == 0) {
      pos = first * kBlock;
      length = kBlock * (1 + random.Below(std::min<size_t>(blocks - first, 4)));
    }
  }
  switch (random.Below(10)) {
    case 0:
    case 1:
      (*input)[pos] ^= static_cast<uint8_t>(1u << random.Below(8));
      break;
    case 2:
    case 3:
    case 4:
      (*input)[random.Below(input->size())] = Byte(random);
      break;
    case 5:
      input->insert(at(pos), Byte(random));
      break;
    case 6:
      input->erase(at(pos), at(pos + length));
      break;
    case 7: {
      const Input piece(at(pos), at(pos + length));
      const size_t to = length % kBlock == 0
                            ? random.Below(input->size() / kBlock) * kBlock
                            : random.Below(input->size());
      input->insert(at(to), piece.begin(), piece.end());
      break;
    }
    case 8:
      if (random.Below(4) == 0) input->resize(pos);
      break;
    case 9: {
      if (other.size() <= pos) break;
      const size_t n =
          std::min({length, other.size() - pos, input->size() - pos});
      std::copy_n(other.begin() + static_cast<ptrdiff_t>(pos), n, at(pos));
      break;
    }
  }
}

std::vector<std::pair<std::string, Input>> ReadCorpus(const char* directory) {
  std::vector<std::pair<std::string, Input>> corpus;
  for (const auto& file :
       std::filesystem::recursive_directory_iterator(directory)) {
    if (!file.is_regular_file()) continue;
    std::ifstream in(file.path(), std::ios::binary);
    corpus.emplace_back(file.path().string(),
                        Input(std::istreambuf_iterator<char>(in), {}));
  }
  std::sort(corpus.begin(), corpus.end());
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fprintf(stderr, "usage: %s ROUNDS CORPUS-DIR\n", argv[0]);
    return 2;
  }
  const unsigned long rounds = std::strtoul(argv[1], nullptr, 10);
  const auto corpus = ReadCorpus(argv[2]);
  if (corpus.empty()) {
    std::fprintf(stderr, "%s: no files in %s\n", argv[0], argv[2]);
    return 2;
  }
  for (size_t i = 0; i < corpus.size(); ++i) {
    const auto& [name, bytes] = corpus[i];
    std::fprintf(stderr, "%s\n", name.c_str());
    LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    for (unsigned long round = 0; round < rounds; ++round) {
      Random random(i * 1'000'003 + round);
      Input input = bytes;
      const Input& other = corpus[random.Below(corpus.size())].second;
      for (size_t n = 1 + random.Below(5); n > 0; --n) {
        MutateOnce(random, other, &input);
      }
      // Heap memory of exactly this size: a read past the end is found.
      input.shrink_to_fit();
      LLVMFuzzerTestOneInput(input.data(), input.size());
    }
  }
  return 0;
}
