#include "lock/pin_spot.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "imgbuild/dockerfile/expand.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include "lock/name_parts.h"

namespace imgbuild::lock {
namespace {

using dockerfile::Word;

Error Refuse(std::string_view name, std::string_view reason) {
  return Error(ErrorCode::kPolicy,
               fmt::format("{} cannot be pinned here: {}", name, reason));
}

class SpotFinder {
 public:
  SpotFinder(const dockerfile::Dockerfile& file, const Word& word,
             const UsedName& used, bool exact)
      : file_(file),
        word_(word),
        used_(used),
        exact_(exact),
        name_(used.image->WithoutDigest().Familiar()),
        digest_(used.image->digest() ? "@" + used.image->digest()->ToString()
                                     : "") {}

  PinSpot Find() {
    if (const auto spot = FindDigestIn(word_.range)) return *spot;
    const bool from_names_variables =
        used_.site == "FROM" &&
        dockerfile::HasVariable(word_.text, file_.escape);
    if (!from_names_variables) {
      if (!digest_.empty()) throw InPieces(word_.range);
      return EndOf(word_.range);
    }
    const auto parts = SplitName(word_.text, used_.args, file_.escape);
    if (!parts || parts->empty() || !IsSameName(ValueOf(*parts))) {
      throw Refuse(name_, "the word is made in a way that is too intricate")
          .WithHint("write the name as one ARG: ARG BASE=" + name_ +
                    " and FROM $BASE");
    }
    return FindInParts(*parts);
  }

 private:
  PinSpot Spot(const SourceRange& range, size_t begin, size_t end) const {
    const size_t at = OffsetOf(*range.file(), range.begin());
    return {at + begin, at + end, range, ""};
  }
  Error InPieces(const SourceRange& range) const {
    return Refuse(name_, "its digest is not written in one piece").At(range);
  }
  bool IsSameName(const std::string& value) const {
    const auto reference = oci::Reference::TryParse(value);
    return reference &&
           reference->WithDefaultTag() == used_.image->WithDefaultTag();
  }

  // nullopt: the name has no digest, or not there.
  std::optional<PinSpot> FindDigestIn(const SourceRange& range) const {
    if (digest_.empty()) return std::nullopt;
    const std::string_view raw = TextAt(range);
    const size_t at = raw.find(digest_);
    if (at == std::string_view::npos) return std::nullopt;
    return Spot(range, at, at + digest_.size());
  }

  // Behind the word, inside its quotes.
  PinSpot EndOf(const SourceRange& range) const {
    const std::string_view raw = TextAt(range);
    const auto is_quote = [](char c) { return c == '"' || c == '\''; };
    size_t end = raw.size();
    if (end > 0 && is_quote(raw.back())) {
      const char quote = raw.back();
      if (end < 2 || raw.front() != quote ||
          raw.substr(1, end - 2).find(quote) != std::string_view::npos) {
        throw Refuse(name_, "it is quoted in pieces").At(range);
      }
      --end;
    }
    return Spot(range, end, end);
  }

  PinSpot FindInParts(const std::vector<NamePart>& parts) const {
    const NamePart& last = parts.back();
    std::string value = ValueOf(parts);
    if (const size_t at = value.find('@'); at != std::string::npos) {
      value.resize(at);
    }
    const size_t slash = value.rfind('/') + 1;  // 0 without one
    for (const NamePart& part : parts) {
      if (part.variable.empty()) continue;
      if (IsPlatformVariable(part.variable)) {
        throw Refuse(name_, fmt::format("${} is another for each platform",
                                        part.variable))
            .WithHint(
                "the index digest of a name without it holds for every "
                "platform");
      }
      if (&part != &last && part.value_end > slash) {
        throw Refuse(name_, fmt::format("the name goes on after ${}, and a "
                                        "digest holds for one value of it only",
                                        part.variable))
            .WithHint("make the name one ARG: ARG BASE=" + name_ +
                      " and FROM $BASE");
      }
    }
    if (last.variable.empty()) {
      if (!digest_.empty()) throw InPieces(word_.range);
      return EndOf(word_.range);
    }
    if (last.own_default) return InOwnDefault(last);
    return InArg(last.variable);
  }

  PinSpot InOwnDefault(const NamePart& part) const {
    if (TextAt(word_.range) != word_.text) {
      throw Refuse(name_, "the word goes over several lines");
    }
    if (!digest_.empty()) throw InPieces(word_.range);
    return Spot(word_.range, part.end, part.end);
  }

  PinSpot InArg(const std::string& variable) const {
    const dockerfile::ArgDeclaration* declaration = nullptr;
    for (const dockerfile::Instruction& instruction : file_.meta_args) {
      const auto& arg = std::get<dockerfile::Arg>(instruction.node);
      for (const dockerfile::ArgDeclaration& found : arg.declarations) {
        if (found.name.text != variable) continue;
        if (declaration != nullptr) {
          throw Refuse(name_, fmt::format("ARG {} is declared twice", variable))
              .At(found.name.range);
        }
        declaration = &found;
      }
    }
    if (declaration == nullptr || !declaration->value) {
      throw Refuse(name_,
                   fmt::format("${} has no default in this file", variable));
    }
    const Word& value = *declaration->value;
    if (dockerfile::HasVariable(value.text, file_.escape)) {
      throw Refuse(name_, fmt::format("the default of ARG {} is made of other "
                                      "variables",
                                      variable))
          .At(value.range);
    }
    if (exact_) CheckOnlyReader(variable);
    PinSpot spot;
    if (digest_.empty()) {
      spot = EndOf(value.range);
    } else if (const auto found = FindDigestIn(value.range)) {
      spot = *found;
    } else {
      throw InPieces(value.range);
    }
    spot.arg = variable;
    return spot;
  }

  bool Reads(const Word& word, const std::string& variable) const {
    const auto nothing = [](std::string_view) {
      return std::optional<std::string>();
    };
    try {
      return dockerfile::Expand(word, nothing, file_.escape)
          .unmatched.contains(variable);
    } catch (const Error&) {
      // `${X:?…}`: cannot be told, so it may.
      return dockerfile::HasVariable(word.text, file_.escape);
    }
  }

  // The word is the same name and ends in the variable too, however it is
  // written: what is right for one is right for both.
  bool EndsAlike(const Word& word, const std::string& variable) const {
    const auto parts = SplitName(word.text, used_.args, file_.escape);
    if (!parts || parts->empty() || !IsSameName(ValueOf(*parts))) return false;
    const auto reads = [&](const NamePart& part) {
      return part.variable == variable;
    };
    return reads(parts->back()) && !parts->back().own_default &&
           std::ranges::count_if(*parts, reads) == 1;
  }

  Error AlsoRead(const std::string& variable, const SourceRange& range) const {
    Error error = Refuse(
        name_, fmt::format("ARG {} is read here too, where a digest would be "
                           "wrong",
                           variable));
    error.At(range).WithHint("give the base image an ARG of its own");
    return error;
  }

  void CheckOnlyReader(const std::string& variable) const {
    for (const dockerfile::Instruction& instruction : file_.meta_args) {
      for (const auto& other :
           std::get<dockerfile::Arg>(instruction.node).declarations) {
        if (other.value && Reads(*other.value, variable)) {
          throw AlsoRead(variable, other.value->range);
        }
      }
    }
    for (const dockerfile::Stage& stage : file_.stages) {
      const auto& from = std::get<dockerfile::From>(stage.from.node);
      if (Reads(from.image, variable) && !EndsAlike(from.image, variable)) {
        throw AlsoRead(variable, from.image.range);
      }
      if (from.platform && Reads(*from.platform, variable)) {
        throw AlsoRead(variable, from.platform->range);
      }
      for (const dockerfile::Instruction& instruction : stage.instructions) {
        const auto* arg = std::get_if<dockerfile::Arg>(&instruction.node);
        if (arg == nullptr) continue;
        for (const auto& declaration : arg->declarations) {
          // With a default of its own it does not look at the global one.
          if (declaration.name.text == variable && !declaration.value) {
            throw AlsoRead(variable, declaration.name.range);
          }
        }
      }
    }
  }

  const dockerfile::Dockerfile& file_;
  const Word& word_;
  const UsedName& used_;
  const bool exact_;
  const std::string name_;
  const std::string digest_;  // "@sha256:…" or ""
};

}  // namespace

size_t OffsetOf(const SourceFile& file, const SourcePos& pos) {
  const std::string_view line = file.Line(pos.line);
  return static_cast<size_t>(line.data() - file.text().data()) + pos.column - 1;
}

std::string_view TextAt(const SourceRange& range) {
  const SourceFile& file = *range.file();
  const size_t begin = OffsetOf(file, range.begin());
  return std::string_view(file.text())
      .substr(begin, OffsetOf(file, range.end()) - begin);
}

PinSpot FindPinSpot(const dockerfile::Dockerfile& file,
                    const dockerfile::Word& word, const UsedName& used,
                    bool exact) {
  return SpotFinder(file, word, used, exact).Find();
}

}  // namespace imgbuild::lock
