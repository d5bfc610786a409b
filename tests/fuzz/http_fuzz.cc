// What a hostile registry says in headers and error bodies.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "imgbuild/util/error.h"

#include "registry/auth.h"
#include "registry/http_headers.h"
#include "registry/registry_error.h"
#include "registry/url.h"

using namespace imgbuild::registry;  // NOLINT: a fuzz target is one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  const Headers headers = {{"WWW-Authenticate", text},
                           {"Retry-After", text},
                           {"Link", text},
                           {"Warning", text},
                           {"Content-Type", text},
                           {"Content-Length", text}};
  for (const Challenge& challenge : ParseChallenges(headers)) {
    if (challenge.scheme.empty()) std::abort();
  }
  if (ParseRetryAfter(headers, 0).value_or(0) < 0) std::abort();
  ParseNextLink(headers);
  ParseWarnings(headers);
  MediaTypeOf(headers);
  ContentLength(headers);
  if (const auto range = ParseContentRange(text)) {
    if (range->first > range->last) std::abort();
  }
  ParseUploadRange(text);
  // A URL that was accepted reads the same after printing.
  if (const auto url = Url::Parse(text)) {
    const auto again = Url::Parse(url->ToString());
    if (!again || again->ToString() != url->ToString()) std::abort();
    if (Redacted(text).find('?') != std::string::npos) std::abort();
  }
  Url::Parse("https://h/v2/a/b?c=d")->Resolve(text);
  for (const RegistryErrorItem& item : ParseErrorBody(text)) {
    for (const char c : item.code + item.message) {
      if (static_cast<unsigned char>(c) < 0x20) std::abort();
    }
  }
  try {
    if (ParseTokenAnswer(text, "s").token.find('\n') != std::string::npos) {
      std::abort();
    }
  } catch (const imgbuild::Error&) {
  }
  MergeScopes({text, "repository:a:pull"});
  return 0;
}
