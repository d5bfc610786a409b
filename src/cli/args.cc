#include "cli/args.h"

#include <fmt/format.h>

#include <cstdio>

#include "imgbuild/util/error.h"
#include "imgbuild/util/strings.h"

#include <CLI/CLI.hpp>

namespace imgbuild::cli {

struct Args::Impl {
  Impl(const std::string& usage_text, const std::string& description)
      : app(description), usage(usage_text) {
    app.set_help_flag("-h,--help", "print this help and exit");
    app.name(usage_text.substr(0, usage_text.find(' ')));
  }
  std::vector<std::string> LongNames() const {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) {
        names.push_back("--" + name);
      }
    }
    return names;
  }
  Error Unexpected(const std::string& word) const {
    const std::string name = word.substr(0, word.find('='));
    Error error(
        ErrorCode::kUsage,
        (word.starts_with('-') ? "unknown flag: " : "unexpected argument: ") +
            name);
    const auto near = Suggest(name, LongNames());
    return error.WithHint(
        near ? fmt::format("did you mean {}?", *near)
             : fmt::format("see imgbuild {} --help", app.get_name()));
  }
  CLI::App app;
  std::string usage;
  std::vector<std::string>* rest = nullptr;
};

Args::Args(const std::string& usage, const std::string& description)
    : impl_(std::make_unique<Impl>(usage, description)) {}
Args::~Args() = default;

void Args::Flag(const std::string& names, bool* target,
                const std::string& help) {
  impl_->app.add_flag(names, *target, help)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Args::HiddenFlag(const std::string& names, bool* target) {
  impl_->app.add_flag(names, *target)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast)
      ->group("");
}

void Args::Value(const std::string& names, std::string* target,
                 const std::string& placeholder, const std::string& help) {
  impl_->app.add_option(names, *target, help)
      ->type_name(placeholder)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
}

void Args::List(const std::string& names, std::vector<std::string>* target,
                const std::string& placeholder, const std::string& help) {
  impl_->app.add_option(names, *target, help)
      ->type_name(placeholder)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

void Args::Positional(const std::string& name, std::string* target,
                      bool required, const std::string& help) {
  impl_->app.add_option(name, *target, help)->required(required);
}

void Args::Positionals(const std::string& name,
                       std::vector<std::string>* target, bool required,
                       const std::string& help) {
  impl_->app.add_option(name, *target, help)->required(required);
}

void Args::FreeShortH() {
  impl_->app.set_help_flag("--help", "print this help and exit");
}

void Args::Rest(std::vector<std::string>* target) {
  impl_->rest = target;
  impl_->app.prefix_command();
}

std::vector<std::string> Args::Names() const {
  std::vector<std::string> names = impl_->LongNames();
  std::erase(names, "--help");
  return names;
}

bool Args::Parse(const std::vector<std::string>& words) {
  CLI::App& app = impl_->app;
  try {
    // CLI11 takes the words last first.
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::CallForHelp&) {
    std::string text = app.help();
    const size_t options = text.find("Usage:");
    if (options != std::string::npos) {
      const size_t end = text.find('\n', options);
      text.replace(options, end - options, "Usage: imgbuild " + impl_->usage);
    }
    std::fputs(text.c_str(), stdout);
    return false;
  } catch (const CLI::ExtrasError&) {
    const std::vector<std::string> extras = app.remaining();
    throw impl_->Unexpected(extras.empty() ? "" : extras.front());
  } catch (const CLI::RequiredError& e) {
    throw Error(ErrorCode::kUsage, e.what())
        .WithHint(fmt::format("usage: imgbuild {}", impl_->usage));
  } catch (const CLI::ParseError& e) {
    throw Error(ErrorCode::kUsage, e.what())
        .WithHint(fmt::format("see imgbuild {} --help", app.get_name()));
  }
  if (impl_->rest != nullptr) {
    *impl_->rest = app.remaining();
    if (!impl_->rest->empty() && impl_->rest->front().starts_with('-') &&
        impl_->rest->front() != "--") {
      throw impl_->Unexpected(impl_->rest->front());
    }
    if (!impl_->rest->empty() && impl_->rest->front() == "--") {
      impl_->rest->erase(impl_->rest->begin());
    }
  }
  return true;
}

}  // namespace imgbuild::cli
