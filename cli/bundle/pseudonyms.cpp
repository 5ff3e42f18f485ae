#include "cli/bundle/pseudonyms.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <regex>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "crypto/suite.hpp"

namespace cpns::cli::bundle {
namespace {

constexpr std::size_t digits_bytes = 4;  // of a pseudonym; a bundle has some thousand names
constexpr std::string_view word_of_sentences = "cpns";
constexpr std::size_t replaced_min = 4;  // bytes; a shorter name would be found inside of other words

constexpr std::string_view word_of_subject(subject_kind is) {
  switch (is) {
  case subject_kind::user: return "user";
  case subject_kind::entity: return "entity";
  case subject_kind::gateway: return "gateway";
  case subject_kind::uri: return "uri";
  case subject_kind::group: return "group";
  case subject_kind::certificate: return "certificate";
  case subject_kind::address: return "address";
  case subject_kind::database: return "database";
  case subject_kind::parameter: break;
  }
  return "value";
}

/// Host and ":port"; the port is empty if there is none.
std::pair<std::string, std::string> split_address(const std::string& text) {
  const auto at = text.rfind(':');
  const bool has_port = at != std::string::npos && at + 1 < text.size() &&
                        text.find_first_not_of("0123456789", at + 1) == std::string::npos &&
                        (text.find(':') == at || text[at - 1] == ']');
  if (!has_port) return {text, {}};
  return {text.substr(0, at), text.substr(at)};
}

/// Numbers, words such as "on", and durations say nothing about a person or a place.
bool is_harmless(const std::string& parameter) {
  static const std::regex form(R"(\d{1,6}(ms|s|m|h|d)?|true|false|on|off|yes|no|auto|none)");
  return std::regex_match(parameter, form);
}

/// Of packaging/sysusers.conf, and that of the administrator: everybody has them.
bool is_group_of_packages(const std::string& name) {
  constexpr std::array<std::string_view, 7> known{"root",        "cpns-server",   "cpns-gateway", "cpns-pne",
                                                  "cpns-viewer", "cpns-operator", "cpns-admin"};
  return std::find(known.begin(), known.end(), name) != known.end();
}

/// A subject or issuer as OpenSSL writes it in a line, up to the words that our sentences have after one.
constexpr const char* distinguished_name =
    R"(/[a-z][a-z0-9.]*=.*?(?=)"
    R"( \(serial | ends on | ended on | is an? | is signed | has an? | comes from | are damaged)"
    R"(|, which is |, valid |, issued by |, serial |\)|$))";

bool is_of_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-'; }

void replace_words(std::string& text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + 1)) {
    const auto end = at + from.size();
    if ((at > 0 && is_of_word(text[at - 1])) || (end < text.size() && is_of_word(text[end]))) continue;
    text.replace(at, from.size(), to);
    at += to.size() - 1;
  }
}

subject_kind kind_of_urn(const std::string& urn) {
  return urn.starts_with("urn:cpns:") ? subject_kind::uri : subject_kind::entity;
}

void replace_all(std::string& text, const std::string& from, const std::string& to) {
  for (auto at = text.find(from); at != std::string::npos; at = text.find(from, at + to.size()))
    text.replace(at, from.size(), to);
}

}  // namespace

pseudonyms::pseudonyms(entropy& random, bool with_ids)
    : with_ids_(with_ids), key_(random.draw_secret<32>()) {}

std::string pseudonyms::made(std::string_view word, std::string_view name) const {
  const auto mac = crypto::openssl_suite().hmac(key_.expose(), as_bytes(name));
  return std::string(word) + "-" + to_hex(mac.expose().first(digits_bytes));
}

std::string pseudonyms::of(subject_kind is, const std::string& name) {
  if (with_ids_ || name.empty()) return name;
  if (is == subject_kind::parameter) {
    if (is_harmless(name)) return name;
    if (split_address(name).second.empty()) return known_[name] = made(word_of_subject(is), name);
    is = subject_kind::address;
  }
  if (is == subject_kind::group) {
    if (is_group_of_packages(name)) return name;
    return groups_[name] = made(word_of_subject(is), name);
  }
  if (is == subject_kind::database) return of_database(name);
  if (is == subject_kind::address) {
    const auto [host, port] = split_address(name);
    return (known_[host] = made(word_of_subject(is), host)) + port;
  }
  return known_[name] = made(word_of_subject(is), name);
}

std::string pseudonyms::of_database(const std::string& name) {
  const auto learn = [this](const std::string& part) {
    auto shown = made(word_of_subject(subject_kind::database), part);
    if (part != word_of_sentences) databases_[part] = shown;
    return shown;
  };
  if (!split_address(name).second.empty()) learn(split_address(name).first);
  if (name.rfind('/') != std::string::npos && name.rfind('/') > 0) learn(name.substr(0, name.rfind('/')));
  return learn(name);
}

void pseudonyms::replace_pattern(std::string& text, const char* pattern, subject_kind is) {
  const std::regex form(pattern, std::regex::icase);
  std::string out;
  auto rest = std::sregex_iterator(text.begin(), text.end(), form);
  std::size_t done = 0;
  for (; rest != std::sregex_iterator{}; ++rest) {
    auto found = rest->str();
    while (!found.empty() && (found.back() == '.' || found.back() == ':')) found.pop_back();
    out += text.substr(done, static_cast<std::size_t>(rest->position()) - done);
    done = static_cast<std::size_t>(rest->position()) + found.size();
    auto name = found;
    auto kind = is;
    if (is == subject_kind::entity) {  // files of keys have '_' in place of ':'
      std::replace(name.begin(), name.end(), '_', ':');
      kind = kind_of_urn(name);
    }
    out += made(word_of_subject(kind), name);
  }
  text = out + text.substr(done);
}

std::string pseudonyms::in_text(std::string text) {
  if (with_ids_) return text;
  // Backwards, so that "10.0.0.1:5432" goes before "10.0.0.1".
  for (auto d = databases_.rbegin(); d != databases_.rend(); ++d) replace_words(text, d->first, d->second);
  std::vector<const std::pair<const std::string, std::string>*> names;
  for (const auto& entry : known_)
    if (entry.first.size() >= replaced_min) names.push_back(&entry);
  std::sort(names.begin(), names.end(),
            [](const auto* a, const auto* b) { return a->first.size() > b->first.size(); });
  for (const auto* entry : names) replace_all(text, entry->first, entry->second);
  for (const auto& [name, pseudonym] : groups_) replace_words(text, name, pseudonym);
  replace_pattern(text, distinguished_name, subject_kind::certificate);
  replace_pattern(text, R"(\burn[:_][a-z0-9][a-z0-9:_.%+-]*)", subject_kind::entity);
  replace_pattern(text, R"([a-z0-9._%+-]+@[a-z0-9.-]+)", subject_kind::user);
  replace_pattern(text, R"(\b\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}\b)", subject_kind::address);
  replace_pattern(text, R"((?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}|[0-9a-f:]*::[0-9a-f:]*)",
                  subject_kind::address);
  return text;
}

config::text_filter pseudonyms::filter() {
  return [this](config::text_kind is, const std::string& text) -> std::string {
    switch (is) {
    case config::text_kind::plain: return text;
    case config::text_kind::user: return of(subject_kind::user, text);
    case config::text_kind::entity: return of(subject_kind::entity, text);
    case config::text_kind::uri: return of(subject_kind::uri, text);
    case config::text_kind::group: return of(subject_kind::group, text);
    case config::text_kind::address: return of(subject_kind::address, text);
    case config::text_kind::database: return of(subject_kind::database, text);
    case config::text_kind::parameter: return of(subject_kind::parameter, text);
    case config::text_kind::file: break;
    }
    return in_text(text);
  };
}

}  // namespace cpns::cli::bundle
