#include "registry/curl_api.h"

#include <dlfcn.h>

#include <string>

#include "imgbuild/util/error.h"

namespace imgbuild::registry {
namespace {

template <typename F>
void Find(void* library, const char* name, F* out) {
  *out = reinterpret_cast<F>(::dlsym(library, name));
  if (*out == nullptr) {
    throw Error(ErrorCode::kHost, std::string("libcurl has no function \"") +
                                      name + "\": 7.66 or newer is needed");
  }
}

void* OpenLibrary() {
  for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"}) {
    if (void* library = ::dlopen(name, RTLD_LAZY | RTLD_LOCAL)) return library;
  }
  throw Error(ErrorCode::kHost, "load libcurl.so.4: not found")
      .WithHint("install the package libcurl4");
}

}  // namespace

CurlApi LoadCurl() {
  void* library = OpenLibrary();
  CurlApi api{};
  Find(library, "curl_global_init", &api.global_init);
  Find(library, "curl_easy_init", &api.easy_init);
  Find(library, "curl_easy_cleanup", &api.easy_cleanup);
  Find(library, "curl_easy_reset", &api.easy_reset);
  Find(library, "curl_easy_setopt", &api.easy_setopt);
  Find(library, "curl_easy_getinfo", &api.easy_getinfo);
  Find(library, "curl_easy_strerror", &api.easy_strerror);
  Find(library, "curl_multi_init", &api.multi_init);
  Find(library, "curl_multi_cleanup", &api.multi_cleanup);
  Find(library, "curl_multi_add_handle", &api.multi_add_handle);
  Find(library, "curl_multi_remove_handle", &api.multi_remove_handle);
  Find(library, "curl_multi_perform", &api.multi_perform);
  Find(library, "curl_multi_poll", &api.multi_poll);
  Find(library, "curl_multi_info_read", &api.multi_info_read);
  Find(library, "curl_slist_append", &api.slist_append);
  Find(library, "curl_slist_free_all", &api.slist_free_all);
  Find(library, "curl_share_init", &api.share_init);
  Find(library, "curl_share_setopt", &api.share_setopt);
  Find(library, "curl_share_cleanup", &api.share_cleanup);
  if (api.global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
    throw Error(ErrorCode::kHost, "libcurl cannot be initialised");
  }
  return api;
}

}  // namespace imgbuild::registry
