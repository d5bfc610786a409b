#include "cli/go_template_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "imgbuild/util/strings.h"

namespace imgbuild::cli::go_template {
namespace {

std::string Text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string PrintAll(const Invocation& in, bool lines) {
  std::string out;
  const std::vector<Argument>& arguments = in.arguments;
  const auto is_string = [](const Value& v) {
    return v.json != nullptr && v.json->is_string();
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    // Sprint puts blanks only between two that are no strings.
    if (i > 0 && (lines || (!is_string(arguments[i].value) &&
                            !is_string(arguments[i - 1].value)))) {
      out += ' ';
    }
    out += Print(arguments[i].value);
  }
  return lines ? out + "\n" : out;
}

Json PrintFunction(const Invocation& in) { return PrintAll(in, false); }
Json PrintlnFunction(const Invocation& in) { return PrintAll(in, true); }

Json PrintfFunction(const Invocation& in) {
  std::vector<Value> values;
  for (size_t i = 1; i < in.arguments.size(); ++i) {
    values.push_back(in.arguments[i].value);
  }
  return Printf(in.String(0), values);
}

Json JsonFunction(const Invocation& in) {
  const Value& value = in.arguments[0].value;
  if (value.json == nullptr) return "null";
  if (!value.map || !value.json->is_object()) return Text(*value.json);
  Json sorted = Json::object();
  for (const std::string& key : SortedKeys(*value.json)) {
    sorted[key] = value.json->at(key);
  }
  return Text(sorted);
}

Json LenFunction(const Invocation& in) {
  const Value& value = in.arguments[0].value;
  if (value.IsNull() && (value.list || value.map)) return 0;
  if (value.json != nullptr && value.json->is_string()) {
    return value.json->get_ref<const std::string&>().size();
  }
  if (value.json != nullptr && value.json->is_structured()) {
    return value.json->size();
  }
  in.Fail(value.IsNull() ? "len of nil pointer"
                         : "len of type " + TypeName(value));
}

size_t IndexOf(const Invocation& in, size_t i, size_t size) {
  const Value& index = in.arguments[i].value;
  if (index.json == nullptr || !index.json->is_number_integer()) {
    in.FailAt("cannot index slice/array with type " + TypeName(index),
              in.arguments[i].place);
  }
  const auto at = index.json->get<int64_t>();
  if (at < 0 || static_cast<uint64_t>(at) >= size) {
    in.FailAt(fmt::format("index out of range: {}", at), in.arguments[i].place);
  }
  return static_cast<size_t>(at);
}

// What a map does not have: the zero value of what it holds.
Json ZeroOf(const Json* map) {
  if (map == nullptr || !map->is_object() || map->empty()) return "";
  return map->begin()->is_string() ? Json("") : Json(nullptr);
}

Json IndexFunction(const Invocation& in) {
  const Value& first = in.arguments[0].value;
  if (first.IsNull() && !first.map && !first.list) {
    in.Fail("index of untyped nil");
  }
  const Json* json = first.json;
  for (size_t i = 1; i < in.arguments.size(); ++i) {
    if (json != nullptr && json->is_array()) {
      json = &json->at(IndexOf(in, i, json->size()));
    } else if (json != nullptr && json->is_string()) {
      const std::string& text = json->get_ref<const std::string&>();
      return static_cast<unsigned char>(text[IndexOf(in, i, text.size())]);
    } else if (first.list && (json == nullptr || json->is_null())) {
      IndexOf(in, i, 0);
    } else if (json == nullptr || json->is_null() || json->is_object()) {
      const std::string& key = in.String(i);
      if (json == nullptr || !json->is_object() || !json->contains(key)) {
        return ZeroOf(json);
      }
      json = &json->at(key);
    } else {
      in.Fail("can't index item of type " + TypeName({json}));
    }
  }
  return json == nullptr ? Json(nullptr) : *json;
}

Json SliceFunction(const Invocation& in) {
  const Value& value = in.arguments[0].value;
  if (value.json == nullptr ||
      !(value.json->is_array() || value.json->is_string())) {
    in.Fail("can't slice item of type " + TypeName(value));
  }
  const size_t size = value.json->is_array()
                          ? value.json->size()
                          : value.json->get_ref<const std::string&>().size();
  size_t bounds[2] = {0, size};
  for (size_t i = 1; i < in.arguments.size(); ++i) {
    bounds[i - 1] = IndexOf(in, i, size + 1);
  }
  if (bounds[0] > bounds[1]) {
    in.Fail(fmt::format("invalid slice index: {} > {}", bounds[0], bounds[1]));
  }
  if (value.json->is_string()) {
    return value.json->get_ref<const std::string&>().substr(
        bounds[0], bounds[1] - bounds[0]);
  }
  Json out = Json::array();
  for (size_t i = bounds[0]; i < bounds[1]; ++i) {
    out.push_back(value.json->at(i));
  }
  return out;
}

Json NotFunction(const Invocation& in) {
  return !IsTrue(in.arguments[0].value);
}

// -1, 0, 1; nullopt when the two cannot be compared.
std::optional<int> Order(const Json& a, const Json& b) {
  const auto sign = [](auto x, auto y) { return x < y ? -1 : y < x ? 1 : 0; };
  if (a.is_string() && b.is_string()) {
    return sign(a.get_ref<const std::string&>(),
                b.get_ref<const std::string&>());
  }
  if (!a.is_number() || !b.is_number()) return std::nullopt;
  if (a.is_number_float() || b.is_number_float()) {
    return sign(a.get<double>(), b.get<double>());
  }
  return sign(a.get<int64_t>(), b.get<int64_t>());
}

bool Equal(const Invocation& in, const Value& a, const Value& b) {
  if (a.IsNull() || b.IsNull()) return a.IsNull() && b.IsNull();
  for (const Value* value : {&a, &b}) {
    if (value->json->is_structured()) {
      in.Fail(fmt::format("non-comparable type {}: {}", Print(*value),
                          TypeName(*value)));
    }
  }
  if (a.json->is_boolean() && b.json->is_boolean()) return *a.json == *b.json;
  if (const auto order = Order(*a.json, *b.json)) return *order == 0;
  // A number of the data beside a text: Docker compares what they look like.
  if (a.json->is_boolean() || b.json->is_boolean()) {
    in.Fail(fmt::format("incompatible types for comparison: {} and {}",
                        TypeName(a), TypeName(b)));
  }
  return Print(a) == Print(b);
}

Json EqFunction(const Invocation& in) {
  if (in.arguments.size() < 2) in.Fail("missing argument for comparison");
  for (size_t i = 1; i < in.arguments.size(); ++i) {
    if (Equal(in, in.arguments[0].value, in.arguments[i].value)) return true;
  }
  return false;
}

Json NeFunction(const Invocation& in) {
  return !Equal(in, in.arguments[0].value, in.arguments[1].value);
}

int OrderOf(const Invocation& in) {
  const Value& a = in.arguments[0].value;
  const Value& b = in.arguments[1].value;
  if (a.IsNull() || b.IsNull()) in.Fail("invalid type for comparison");
  const auto order = Order(*a.json, *b.json);
  if (!order) {
    in.Fail(a.json->is_structured() || b.json->is_structured()
                ? "invalid type for comparison"
                : fmt::format("incompatible types for comparison: {} and {}",
                              TypeName(a), TypeName(b)));
  }
  return *order;
}

Json LtFunction(const Invocation& in) { return OrderOf(in) < 0; }
Json LeFunction(const Invocation& in) { return OrderOf(in) <= 0; }
Json GtFunction(const Invocation& in) { return OrderOf(in) > 0; }
Json GeFunction(const Invocation& in) { return OrderOf(in) >= 0; }

Json CallFunction(const Invocation& in) {
  in.Fail("non-function of type " + TypeName(in.arguments[0].value));
}

Json UpperFunction(const Invocation& in) {
  std::string text = in.String(0);
  for (char& c : text) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  }
  return text;
}

Json LowerFunction(const Invocation& in) { return ToLower(in.String(0)); }

Json TitleFunction(const Invocation& in) {
  std::string text = in.String(0);
  bool word = false;
  for (char& c : text) {
    const bool letter = std::isalnum(static_cast<unsigned char>(c)) ||
                        c == '_' || c == '\'' || (c & 0x80) != 0;
    if (letter && !word && c >= 'a' && c <= 'z') {
      c = static_cast<char>(c - 'a' + 'A');
    }
    word = letter;
  }
  return text;
}

Json SplitFunction(const Invocation& in) {
  const std::string& text = in.String(0);
  const std::string& separator = in.String(1);
  Json parts = Json::array();
  if (separator.empty()) {
    std::string rune;
    for (const char c : text) {
      if ((c & 0xC0) != 0x80 && !rune.empty()) parts.push_back(rune);
      rune = (c & 0xC0) != 0x80 ? std::string(1, c) : rune + c;
    }
    if (!rune.empty()) parts.push_back(rune);
    return parts;
  }
  size_t begin = 0;
  while (true) {
    const size_t end = text.find(separator, begin);
    parts.push_back(text.substr(begin, end - begin));
    if (end == std::string::npos) return parts;
    begin = end + separator.size();
  }
}

Json JoinFunction(const Invocation& in) {
  const Value& list = in.arguments[0].value;
  if (list.IsNull() && list.list) return "";
  if (list.json == nullptr || !list.json->is_array()) {
    in.FailAt("wrong type for value; expected []string; got " + TypeName(list),
              in.arguments[0].place);
  }
  std::string out;
  bool first = true;
  for (const Json& part : *list.json) {
    if (!part.is_string()) {
      in.FailAt("wrong type for value; expected []string",
                in.arguments[0].place);
    }
    if (!first) out += in.String(1);
    first = false;
    out += part.get_ref<const std::string&>();
  }
  return out;
}

Json PadFunction(const Invocation& in) {
  const std::string& text = in.String(0);
  if (text.empty()) return text;
  const auto blanks = [&](size_t i) {
    return std::string(
        static_cast<size_t>(std::clamp<int64_t>(in.Int(i), 0, kMaxPrintfWidth)),
        ' ');
  };
  return blanks(1) + text + blanks(2);
}

Json TruncateFunction(const Invocation& in) {
  const std::string& text = in.String(0);
  const int64_t length = std::max<int64_t>(0, in.Int(1));
  return text.substr(0, static_cast<size_t>(length));
}

Json HtmlFunction(const Invocation& in) {
  std::string out;
  for (const char c : PrintAll(in, false)) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\0':
        out += "\xEF\xBF\xBD";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Json JsFunction(const Invocation& in) {
  std::string out;
  for (const char c : PrintAll(in, false)) {
    if (c == '\\' || c == '\'' || c == '"') {
      out += '\\';
      out += c;
    } else if (std::string_view("<>&=").find(c) != std::string_view::npos ||
               (c >= 0 && c < 0x20)) {
      out += fmt::format("\\u{:04X}", static_cast<unsigned char>(c));
    } else {
      out += c;
    }
  }
  return out;
}

Json UrlqueryFunction(const Invocation& in) {
  std::string out;
  for (const char c : PrintAll(in, false)) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x80 && std::isalnum(byte)) ||
        std::string_view("-_.~").find(c) != std::string_view::npos) {
      out += c;
    } else if (c == ' ') {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", byte);
    }
  }
  return out;
}

constexpr Function kFunctions[] = {
    {"and", 1, kAnyNumber, nullptr},
    {"call", 1, kAnyNumber, CallFunction},
    {"eq", 1, kAnyNumber, EqFunction},
    {"ge", 2, 2, GeFunction},
    {"gt", 2, 2, GtFunction},
    {"html", 0, kAnyNumber, HtmlFunction},
    {"index", 1, kAnyNumber, IndexFunction},
    {"join", 2, 2, JoinFunction},
    {"js", 0, kAnyNumber, JsFunction},
    {"json", 1, 1, JsonFunction},
    {"le", 2, 2, LeFunction},
    {"len", 1, 1, LenFunction},
    {"lower", 1, 1, LowerFunction},
    {"lt", 2, 2, LtFunction},
    {"ne", 2, 2, NeFunction},
    {"not", 1, 1, NotFunction},
    {"or", 1, kAnyNumber, nullptr},
    {"pad", 3, 3, PadFunction},
    {"print", 0, kAnyNumber, PrintFunction},
    {"printf", 1, kAnyNumber, PrintfFunction},
    {"println", 0, kAnyNumber, PrintlnFunction},
    {"slice", 1, 3, SliceFunction},
    {"split", 2, 2, SplitFunction},
    {"title", 1, 1, TitleFunction},
    {"truncate", 2, 2, TruncateFunction},
    {"upper", 1, 1, UpperFunction},
    {"urlquery", 0, kAnyNumber, UrlqueryFunction},
};

}  // namespace

void Invocation::FailAt(const std::string& reason, Place where) const {
  fail(fmt::format("{}: {}", name, reason), where);
  std::abort();  // fail throws
}

void Invocation::Fail(const std::string& reason) const {
  FailAt(reason, place);
}

const std::string& Invocation::String(size_t i) const {
  const Value& value = arguments.at(i).value;
  if (value.json == nullptr || !value.json->is_string()) {
    FailAt("expected string; found " + Print(value), arguments[i].place);
  }
  return value.json->get_ref<const std::string&>();
}

int64_t Invocation::Int(size_t i) const {
  const Value& value = arguments.at(i).value;
  if (value.json == nullptr || !value.json->is_number_integer()) {
    FailAt("expected integer; found " + Print(value), arguments[i].place);
  }
  return value.json->get<int64_t>();
}

const Function* FindFunction(std::string_view name) {
  const auto* found = std::ranges::find(kFunctions, name, &Function::name);
  return found == std::end(kFunctions) ? nullptr : found;
}

std::vector<std::string> FunctionNames() {
  std::vector<std::string> names;
  for (const Function& function : kFunctions) names.emplace_back(function.name);
  return names;
}

bool IsTrue(const Value& value) {
  if (value.IsNull()) return false;
  const Json& json = *value.json;
  if (json.is_boolean()) return json.get<bool>();
  if (json.is_string()) return !json.get_ref<const std::string&>().empty();
  if (json.is_number_float()) return json.get<double>() != 0;
  if (json.is_number()) return json.get<int64_t>() != 0;
  return !json.empty() || (json.is_object() && !value.map);
}

}  // namespace imgbuild::cli::go_template
