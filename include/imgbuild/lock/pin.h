// Pins written into the Dockerfile itself: `name:tag` becomes
// `name:tag@sha256:…` and back, as edits of exactly those bytes. Comments,
// white space, line ends, a byte order mark, continued lines, quotes and
// heredocs stay as they are. Pure: texts and values in, edits out; names are
// evaluated above (plan) and digests are asked for through a function.
//
// Where the digest goes:
//
//   FROM alpine:3.20              at the end of the word (inside its quotes);
//   COPY --from=, RUN --mount     a name without a tag gets none: `alpine@…`
//                                 means latest, as `alpine` did
//   FROM ${REG}/alpine:3.20       at the end of the word: the variable stands
//                                 for a registry or path before the last '/',
//                                 and the same image elsewhere has the same
//                                 digest
//   ARG V=1.22 … FROM golang:$V   at the end of the ARG's default
//   FROM ${BASE:-alpine:3.20}     at the end of the default in the braces
//
// A digest goes to an ARG's default only where that is exact, that is: the
// word ends in the plain variable; no other variable stands after the last
// '/' of the name; the ARG is declared once, before the first FROM, with a
// default that has no variable; and nothing else reads it (no other name, no
// platform, no other default, no `ARG V` in a stage). Then another value of
// the ARG, given by --build-arg, brings no digest of the default's image.
// Anything else is refused with the reason and the place.
//
//   # syntax=docker/dockerfile:1  at the end of the value
//   ONBUILD COPY --from=, …       as without ONBUILD, where the word can be no
//                                 stage of the build that runs the trigger
//
// A word may stand in an included file: its edit is of that file.
#ifndef IMGBUILD_LOCK_PIN_H_
#define IMGBUILD_LOCK_PIN_H_

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "imgbuild/dockerfile/ast.h"
#include "imgbuild/lock/compare.h"
#include "imgbuild/lock/text_edit.h"
#include "imgbuild/util/error.h"

namespace imgbuild::lock {

enum class PinMode {
  kPin,     // names without a digest get one; others are left alone
  kUpdate,  // names that have one get the present one of their tag too
  kUnpin,   // digests are taken away
};

// One name, and what becomes of it.
struct PinChange {
  std::string name;    // as it is evaluated: "alpine:3.20"
  std::string before;  // the digest it had, "" for none
  std::string after;   // the digest it gets, "" for none
  std::string site;    // "FROM", "COPY --from", "# syntax", …
  SourceRange range;   // of the word that names it
  SourceRange at;      // of the word that is edited: an ARG's default, or range
  std::string arg;     // the ARG, "" for the word itself
  bool no_tag = false;  // the name has no tag: latest is meant
  TextEdit edit;        // of at.file()
};

struct PinPlan {
  std::vector<PinChange> changes;  // in the order of the file
  std::vector<PinChange> kept;     // right already (kPin: pinned at all)
  // Error(kPolicy) each, with place and hint: left as they are.
  std::vector<Error> refused;
};

// What a name (without digest, with a tag) stands for. Asked once a name. May
// throw Error; nullopt is a refusal ("nothing is known about …").
using DigestOf =
    std::function<std::optional<oci::Digest>(const oci::Reference& name)>;

// `used`: the names of `file` evaluated for the defaults; those that are
// neither image nor frontend or stand in no word of the file (a base's trigger)
// are passed over.
// kUnpin never asks for digests. For every text t without digests:
//   unpin(pin(t)) = t, pin(pin(t)) = pin(t),
//   Parse(pin(t)) differs from Parse(t) in the edited words only.
PinPlan PlanPins(const dockerfile::Dockerfile& file,
                 const std::vector<UsedName>& used, PinMode mode,
                 const DigestOf& digest_of);

// The words of a trigger that can only name images: not a stage of the build
// that runs it, and no variable. Their places are those in the Dockerfile;
// words of a trigger over several lines that cannot be found there are left
// out. `site`: "ONBUILD COPY --from", "ONBUILD RUN --mount".
struct TriggerName {
  dockerfile::Word word;
  std::string site;
};
std::vector<TriggerName> TriggerNames(const dockerfile::OnBuild& trigger,
                                      char escape);

}  // namespace imgbuild::lock

#endif  // IMGBUILD_LOCK_PIN_H_
