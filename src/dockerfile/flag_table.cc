#include "dockerfile/flag_table.h"

namespace imgbuild::dockerfile {
namespace {

constexpr FlagSpec kFrom[] = {{"platform", FlagKind::kText}};
constexpr FlagSpec kRun[] = {{"mount", FlagKind::kMulti},
                             {"network", FlagKind::kText},
                             {"security", FlagKind::kText},
                             {"device", FlagKind::kMulti},
                             {"no-cache", FlagKind::kBool}};
constexpr FlagSpec kAdd[] = {
    {"chown", FlagKind::kText},    {"chmod", FlagKind::kText},
    {"link", FlagKind::kBool},     {"exclude", FlagKind::kMulti},
    {"checksum", FlagKind::kText}, {"keep-git-dir", FlagKind::kBool},
    {"unpack", FlagKind::kBool}};
constexpr FlagSpec kCopy[] = {
    {"chown", FlagKind::kText},    {"chmod", FlagKind::kText},
    {"link", FlagKind::kBool},     {"exclude", FlagKind::kMulti},
    {"from", FlagKind::kText},     {"parents", FlagKind::kBool},
    {"if-exists", FlagKind::kBool}};
constexpr FlagSpec kHealthcheck[] = {{"interval", FlagKind::kText},
                                     {"timeout", FlagKind::kText},
                                     {"start-period", FlagKind::kText},
                                     {"start-interval", FlagKind::kText},
                                     {"retries", FlagKind::kText}};

}  // namespace

std::span<const FlagSpec> FlagsOf(Keyword keyword) {
  switch (keyword) {
    case Keyword::kFrom:
      return kFrom;
    case Keyword::kRun:
      return kRun;
    case Keyword::kAdd:
      return kAdd;
    case Keyword::kCopy:
      return kCopy;
    case Keyword::kHealthcheck:
      return kHealthcheck;
    default:
      return {};
  }
}

}  // namespace imgbuild::dockerfile
