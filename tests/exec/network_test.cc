#include "exec/network.h"

#include <gtest/gtest.h>

namespace imgbuild::exec {
namespace {

TEST(NetworkTest, ReachableServersAreKept) {
  ResolvConf conf = MakeResolvConf(
      "# made by hand\n"
      "search example.org\n"
      "nameserver 10.0.0.1\n"
      "  nameserver\t2001:db8::1\n"
      "; more\n"
      "options edns0\n");
  EXPECT_EQ(conf.text,
            "search example.org\n"
            "nameserver 10.0.0.1\n"
            "nameserver\t2001:db8::1\n"
            "options edns0\n");
  EXPECT_FALSE(conf.forward);
}

TEST(NetworkTest, LoopbackServersAreLeftOut) {
  ResolvConf conf =
      MakeResolvConf("nameserver 127.0.0.53\nnameserver 10.0.0.1\n");
  EXPECT_EQ(conf.text, "nameserver 10.0.0.1\n");
  EXPECT_FALSE(conf.forward);
}

TEST(NetworkTest, WithLoopbackServersAlonePastaForwards) {
  ResolvConf conf =
      MakeResolvConf("nameserver 127.0.0.53\nnameserver ::1\nsearch lan\n");
  EXPECT_EQ(conf.text, "search lan\nnameserver 169.254.1.1\n");
  EXPECT_TRUE(conf.forward);
}

TEST(NetworkTest, AnEmptyFileMeansTheLocalServer) {
  EXPECT_TRUE(MakeResolvConf("").forward);
  EXPECT_EQ(MakeResolvConf("").text, "nameserver 169.254.1.1\n");
}

}  // namespace
}  // namespace imgbuild::exec
