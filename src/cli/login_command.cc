// `imgbuild login` and `imgbuild logout`.
#include <fmt/format.h>
#include <termios.h>
#include <unistd.h>

#include <cstdio>

#include "imgbuild/registry/config.h"
#include "imgbuild/util/error.h"
#include "imgbuild/util/io.h"
#include "imgbuild/util/strings.h"

#include "cli/commands.h"

namespace imgbuild::cli {
namespace {

constexpr size_t kMaxPasswordBytes = 64u << 10;

// Registries are named as in references; Docker's own has three spellings.
std::string HostOf(const std::string& server) {
  std::string_view host = server;
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (host.starts_with(scheme)) host.remove_prefix(scheme.size());
  }
  host = host.substr(0, host.find('/'));
  if (host.empty() || host == "index.docker.io" ||
      host == "registry-1.docker.io") {
    return "docker.io";
  }
  return std::string(host);
}

std::string ReadStdin() {
  FdReader in(0, "standard input");
  std::string text = ReadAll(in, kMaxPasswordBytes, "the password");
  while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) {
    text.pop_back();
  }
  return text;
}

// One line from the terminal, not shown while it is typed.
std::string AskPassword() {
  termios before = {};
  if (::tcgetattr(0, &before) != 0) {
    throw Error(ErrorCode::kUsage,
                "cannot ask for a password: standard input is no terminal")
        .WithHint("give it with --password-stdin");
  }
  std::fputs("Password: ", stderr);
  termios quiet = before;
  quiet.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(0, TCSAFLUSH, &quiet);
  std::string line;
  char c = 0;
  while (::read(0, &c, 1) == 1 && c != '\n') line += c;
  ::tcsetattr(0, TCSAFLUSH, &before);
  std::fputs("\n", stderr);
  return line;
}

registry::CredentialFilesOptions FileOptions() {
  registry::CredentialFilesOptions options;
  options.warn = [](const std::string& text) {
    fmt::print(stderr, "warning: {}\n", text);
  };
  return options;
}

}  // namespace

int LoginCommand(App& app, const Words& words) {
  std::string server;
  registry::Credentials credentials;
  bool from_stdin = false;
  Args args("login [OPTIONS] [SERVER]",
            "Check credentials with a registry and keep them.");
  args.Value("-u,--username", &credentials.username, "NAME", "the user");
  args.Flag("--password-stdin", &from_stdin,
            "take the password from standard input");
  args.Positional("SERVER", &server, false,
                  "the registry (default: docker.io)");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;

  if (credentials.username.empty()) {
    throw Error(ErrorCode::kUsage, "login needs a user name")
        .WithHint("imgbuild login -u NAME --password-stdin SERVER");
  }
  credentials.password = from_stdin ? ReadStdin() : AskPassword();
  if (credentials.password.empty()) {
    throw Error(ErrorCode::kUsage, "the password is empty");
  }
  const std::string host = HostOf(server);
  app.client().CheckCredentials(host, credentials, app.cancel);
  const std::string where =
      registry::SaveCredentials(FileOptions(), host, credentials);
  fmt::print("Login Succeeded\n");
  fmt::print(stderr, "kept in {}\n", where);
  return 0;
}

int LogoutCommand(App& app, const Words& words) {
  std::string server;
  Args args("logout [SERVER]", "Forget the credentials of a registry.");
  args.Positional("SERVER", &server, false,
                  "the registry (default: docker.io)");
  AddGlobalFlags(args, app.options);
  if (!args.Parse(words)) return 0;
  const std::string host = HostOf(server);
  if (!registry::EraseCredentials(FileOptions(), host)) {
    fmt::print("Not logged in to {}\n", host);
    return 0;
  }
  fmt::print("Removing login credentials for {}\n", host);
  return 0;
}

}  // namespace imgbuild::cli
