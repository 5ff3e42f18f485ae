#include "actors/application_keys/purposes.hpp"

#include <algorithm>
#include <utility>

#include "base/bytes.hpp"
#include "base/text.hpp"
#include "crypto/suite.hpp"

namespace cpns::actors {

bool purpose::allows(const api::local_peer& who) const {
  return users.contains(who.uid) || groups.contains(who.gid) ||
         std::any_of(who.groups.begin(), who.groups.end(), [this](gid_t g) { return groups.contains(g); });
}

bool purpose::covers(const entity_id& entity) const {
  return entities.empty() || std::any_of(entities.begin(), entities.end(), [&entity](const auto& pattern) {
           return fits(pattern, entity.text());
         });
}

std::string purpose::setting(std::string_view member) const {
  return "application_keys.purposes." + name + "." + std::string{member};
}

purpose without_readers(const std::string& name, const config::key_purpose& c) {
  return {name, c.bytes, c.identity, {}, {}, c.entities};
}

result<purposes> purposes::make(const config::application_keys_config& c) {
  purposes out;
  for (const auto& [name, wanted] : c.purposes) {
    auto p = without_readers(name, wanted);
    p.run = to_hex(crypto::system_entropy().draw<8>());
    for (const auto& user : wanted.allow.users) {
      CPNS_TRY(const auto id, api::own_user_named(user, p.setting("allow.users")));
      p.users.insert(id);
    }
    for (const auto& group : wanted.allow.groups) {
      CPNS_TRY(const auto id, api::own_group_named(group, p.setting("allow.groups")));
      p.groups.insert(id);
    }
    out.all_.emplace(name, std::move(p));
  }
  return out;
}

const purpose* purposes::find(std::string_view name) const {
  const auto at = all_.find(name);
  return at == all_.end() ? nullptr : &at->second;
}

bool purposes::allow(const api::local_peer& who) const {
  return std::any_of(all_.begin(), all_.end(), [&who](const auto& p) { return p.second.allows(who); });
}

}  // namespace cpns::actors
