#include "imgbuild/util/io.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "imgbuild/util/error.h"
#include "imgbuild/util/unique_fd.h"

namespace imgbuild {
namespace {

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& e) {
    return e.message();
  }
  return "(no error)";
}

struct FdPair {
  UniqueFd read;
  UniqueFd write;
};

FdPair MakePipe(int flags = 0) {
  int fds[2];
  EXPECT_EQ(::pipe2(fds, O_CLOEXEC | flags), 0);
  return {UniqueFd(fds[0]), UniqueFd(fds[1])};
}

TEST(Io, CopiesEverything) {
  const std::string text(300'000, 'x');
  StringReader reader(text);
  StringWriter writer;
  EXPECT_EQ(CopyAll(reader, writer), text.size());
  EXPECT_EQ(writer.text(), text);
}

TEST(Io, ReadAllStopsAtTheCap) {
  StringReader exact("12345");
  EXPECT_EQ(ReadAll(exact, 5, "x"), "12345");
  StringReader none("");
  EXPECT_EQ(ReadAll(none, 0, "x"), "");
  StringReader over("123456");
  EXPECT_EQ(MessageOf([&] { ReadAll(over, 5, "token"); }),
            "read \"token\": more than 5 bytes");
  StringReader big(std::string(200'000, 'x'));
  EXPECT_EQ(MessageOf([&] { ReadAll(big, 199'999, "x"); }),
            "read \"x\": more than 199999 bytes");
}

TEST(Io, FdReaderAndWriterNameTheFileInErrors) {
  FdReader reader(-1, "/a");
  FdWriter writer(-1, "/b");
  std::byte buffer[4];
  EXPECT_EQ(MessageOf([&] { reader.Read(buffer); }),
            "read \"/a\": bad file descriptor");
  EXPECT_EQ(MessageOf([&] { writer.Write(AsBytes("x")); }),
            "write \"/b\": bad file descriptor");
}

TEST(Io, FdReaderAndWriterWaitOnNonBlockingDescriptors) {
  FdPair pipe = MakePipe(O_NONBLOCK);
  const std::string text(1'000'000, 'y');
  std::thread thread([&] {
    FdWriter(pipe.write.get(), "pipe").Write(AsBytes(text));
    pipe.write.reset();
  });
  FdReader reader(pipe.read.get(), "pipe");
  EXPECT_EQ(ReadAll(reader, 2'000'000, "pipe"), text);
  thread.join();
}

TEST(Io, TeeWritesToBoth) {
  StringWriter a;
  StringWriter b;
  TeeWriter(a, b).Write(AsBytes("both"));
  EXPECT_EQ(a.text(), "both");
  EXPECT_EQ(b.text(), "both");
}

TEST(BoundedPipe, PassesEveryByteInOrder) {
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += static_cast<char>(i * 31 + i / 7);
  for (const size_t capacity : {0ul, 1ul, 7ul, 4096ul, 1'000'000ul}) {
    // The small ones are slow: a shorter text does.
    const std::string part = text.substr(0, capacity < 8 ? 5000 : text.size());
    BoundedPipe pipe(capacity);
    std::thread thread([&] {
      for (size_t at = 0; at < part.size();) {
        const size_t n = std::min<size_t>(part.size() - at, 1 + at % 10'000);
        pipe.Write(AsBytes(part).subspan(at, n));
        at += n;
      }
      pipe.CloseWrite();
    });
    EXPECT_EQ(ReadAll(pipe, part.size(), "pipe"), part) << capacity;
    std::byte more[1];
    EXPECT_EQ(pipe.Read(more), 0u);
    thread.join();
  }
}

TEST(BoundedPipe, WriterBlocksWhileFull) {
  BoundedPipe pipe(4);
  std::atomic<bool> done = false;
  std::thread thread([&] {
    pipe.Write(AsBytes("12345"));
    done = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_FALSE(done);
  std::byte one[1];
  EXPECT_EQ(pipe.Read(one), 1u);
  thread.join();
  EXPECT_TRUE(done);
}

TEST(BoundedPipe, ReaderGetsTheRestBeforeTheError) {
  BoundedPipe pipe(16);
  pipe.Write(AsBytes("rest"));
  pipe.CloseWrite(
      std::make_exception_ptr(Error(ErrorCode::kRegistry, "connection reset")));
  pipe.CloseWrite();  // too late to make it a success
  std::byte buffer[16];
  EXPECT_EQ(pipe.Read(buffer), 4u);
  EXPECT_EQ(MessageOf([&] { pipe.Read(buffer); }), "connection reset");
  EXPECT_EQ(MessageOf([&] { pipe.Read(buffer); }), "connection reset");
}

TEST(BoundedPipe, WriterIsWokenWhenTheReaderGoes) {
  BoundedPipe pipe(2);
  std::string message;
  std::thread thread(
      [&] { message = MessageOf([&] { pipe.Write(AsBytes("1234567")); }); });
  std::this_thread::sleep_for(std::chrono::milliseconds(10));
  pipe.CloseRead();
  thread.join();
  EXPECT_EQ(message, "write to pipe: the reader is gone");
  EXPECT_EQ(MessageOf([&] { pipe.Write({}); }),
            "write to pipe: the reader is gone");
}

TEST(BoundedPipe, WriterGetsTheReadersError) {
  BoundedPipe pipe(2);
  pipe.CloseRead(std::make_exception_ptr(Error(ErrorCode::kHost, "disk full")));
  EXPECT_EQ(MessageOf([&] { pipe.Write(AsBytes("x")); }), "disk full");
}

TEST(BoundedPipe, RefusesUseAfterClose) {
  BoundedPipe pipe(2);
  pipe.CloseWrite();
  EXPECT_EQ(MessageOf([&] { pipe.Write(AsBytes("x")); }),
            "write to pipe: it is closed");
  pipe.CloseRead();
  std::byte buffer[1];
  EXPECT_EQ(MessageOf([&] { pipe.Read(buffer); }),
            "read from pipe: it is closed");
}

}  // namespace
}  // namespace imgbuild
