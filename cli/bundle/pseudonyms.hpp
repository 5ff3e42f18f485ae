#pragma once
// Names in place of the names of people, devices and machines.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "base/entropy.hpp"
#include "base/secret.hpp"
#include "config/effective.hpp"

namespace cpns::cli::bundle {

/// What a text names.
enum class subject_kind : std::uint8_t {
  user,
  entity,
  gateway,
  uri,
  group,
  certificate,
  address,
  parameter,
  database
};

/// A bundle goes to strangers, who must see that two lines are about the same device, but not which one. So a name is
/// replaced by a MAC of it, under a key that is drawn for one bundle and kept nowhere. Not thread-safe.
class pseudonyms {
 public:
  /// `with_ids`: nothing is replaced.
  pseudonyms(entropy& random, bool with_ids);

  /// "entity-3f0a91c2"; an address keeps its port, and a group that the packages make stays; of a database not even the
  /// port is shown. Empty stays empty. The name is also replaced in later texts, that of a group or a database as a whole
  /// word, and not if it is "cpns", which is a word of our sentences.
  std::string of(subject_kind is, const std::string& name);
  /// Replaces names that of() was given, and everything that looks like a User ID with an '@', a URN, an IP address, a
  /// hardware address or the subject of a certificate ("/C=DE/CN=Anna").
  [[nodiscard]] std::string in_text(std::string text);
  /// For config::effective().
  config::text_filter filter();

 private:
  [[nodiscard]] std::string made(std::string_view word, std::string_view name) const;
  std::string of_database(const std::string& name);
  void replace_pattern(std::string& text, const char* pattern, subject_kind is);

  bool with_ids_;
  secret32 key_;
  std::map<std::string, std::string, std::less<>> known_;
  std::map<std::string, std::string, std::less<>> groups_, databases_;
};

}  // namespace cpns::cli::bundle
