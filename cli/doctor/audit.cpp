// The file of the audit trail, as the role examines it at its start.

#include "audit/trail.hpp"
#include "cli/audited.hpp"
#include "cli/doctor/doctor.hpp"
#include "cli/stores.hpp"
#include "crypto/suite.hpp"

namespace cpns::cli::doctor {
namespace {

namespace fs = std::filesystem;

/// The chain in the store of a stopped server or gateway; nullopt if it has none, or cannot be read, which the lines
/// about the store say.
template <class Config>
std::optional<audit::chain> chain_of(const Config& c) {
  if constexpr (requires { c.store; }) {
    if (c.store.kind == config::store_kind::memory) return std::nullopt;
    const auto under = open_store_for_reading(c.store);
    const auto key = open_protector(c.protector);
    if (!under || !key) return std::nullopt;
    const auto sealed = storage::sealed_store::open(**under, **key, crypto::system_entropy());
    if (!sealed) return std::nullopt;
    return chain_anchor(c, **sealed)->load().value_or(std::nullopt);
  }
  return std::nullopt;
}

}  // namespace

lines check_audit(const subject& s) {
  const auto file = std::visit([](const auto& c) { return c.audit.file; }, s.file.config);
  if (file.empty()) return {{state_t::ok, "the store is in memory, and no audit trail is kept"}};
  // A running role may be writing a line, so its chain is not compared.
  const auto chain = s.running() ? std::optional<audit::chain>{}
                                 : std::visit([](const auto& c) { return chain_of(c); }, s.file.config);
  const auto damage = audit::damage_before_start(file, chain);
  if (!damage) return {{state_t::error, "'audit.file': " + damage.error().detail}};
  if (!damage->empty() && !s.running())
    return {
        {state_t::warning, "the audit file " + file.string() + ": " + *damage +
                               "; run `cpns audit verify` before the next start, which records the damage"}};
  std::error_code ec;
  if (!fs::exists(file, ec))
    return {{state_t::ok, "the audit file " + file.string() + " does not exist; the role makes it"}};
  return {
      {state_t::ok, "the audit file " + file.string() + " has the right mode, and lines can be appended"}};
}

}  // namespace cpns::cli::doctor
