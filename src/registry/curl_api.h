// The functions of libcurl that are used, found when the first request is
// made: linking the library would cost every start of the program 6 ms.
// libcurl's headers are seen by curl_*.cc alone.
#ifndef IMGBUILD_SRC_REGISTRY_CURL_API_H_
#define IMGBUILD_SRC_REGISTRY_CURL_API_H_

#include <curl/curl.h>

namespace imgbuild::registry {

struct CurlApi {
  decltype(&::curl_global_init) global_init;
  decltype(&::curl_easy_init) easy_init;
  decltype(&::curl_easy_cleanup) easy_cleanup;
  decltype(&::curl_easy_reset) easy_reset;
  decltype(&::curl_easy_setopt) easy_setopt;
  decltype(&::curl_easy_getinfo) easy_getinfo;
  decltype(&::curl_easy_strerror) easy_strerror;
  decltype(&::curl_multi_init) multi_init;
  decltype(&::curl_multi_cleanup) multi_cleanup;
  decltype(&::curl_multi_add_handle) multi_add_handle;
  decltype(&::curl_multi_remove_handle) multi_remove_handle;
  decltype(&::curl_multi_perform) multi_perform;
  decltype(&::curl_multi_poll) multi_poll;
  decltype(&::curl_multi_info_read) multi_info_read;
  decltype(&::curl_slist_append) slist_append;
  decltype(&::curl_slist_free_all) slist_free_all;
  decltype(&::curl_share_init) share_init;
  decltype(&::curl_share_setopt) share_setopt;
  decltype(&::curl_share_cleanup) share_cleanup;
};

// Loads libcurl.so.4 (or the GnuTLS flavour) and initialises it. The library
// stays loaded. Throws Error(kHost) when it is missing or too old.
CurlApi LoadCurl();

}  // namespace imgbuild::registry

#endif  // IMGBUILD_SRC_REGISTRY_CURL_API_H_
