#pragma once
// The audit trail of each role: its file, its anchor, and changes by commands while the role is stopped, which are
// recorded like those through the API.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "api/problem.hpp"
#include "audit/trail.hpp"
#include "base/descriptor.hpp"
#include "cli/stores.hpp"
#include "config/loader.hpp"
#include "config/schema.hpp"
#include "storage/rewrap.hpp"

namespace cpns::cli {

/// Opens the trail of a server; `store` is its open store and must outlive the trail. Changes without an outcome get
/// the one that the store tells. Errors of audit::trail::open, with the key `audit.file`.
result<std::unique_ptr<audit::trail>> open_trail(const config::server_config& c,
                                                 storage::sealed_store& store);
/// The same for a gateway.
result<std::unique_ptr<audit::trail>> open_trail(const config::gateway_config& c,
                                                 storage::sealed_store& store);
/// The same for a PNE, whose key files the caller has locked: the role, or a command by locks_of().
result<std::unique_ptr<audit::trail>> open_trail(const config::pne_config& c,
                                                 const storage::key_protector& protector);

/// The chain of a role in its open store, which must outlive the result.
std::unique_ptr<audit::anchor> chain_anchor(const config::server_config& c, storage::sealed_store& store);
std::unique_ptr<audit::anchor> chain_anchor(const config::gateway_config& c, storage::sealed_store& store);

/// A file that a running PNE locks, and the resource for which it stands.
struct pne_lock {
  std::filesystem::path file, resource;
};
std::vector<pne_lock> locks_of(const config::pne_config& c);
/// The data key of a PNE's anchor, for `cpns store rewrap`; nullopt if it is the one that its key files share.
std::optional<storage::key_place> anchor_key_place(const config::pne_config& c);

/// The store of a stopped server with its trail, for a command that changes it.
struct audited_server {
  opened_store store;
  std::unique_ptr<audit::trail> trail;
};
/// Errors of open_server_store and open_trail.
result<audited_server> open_audited_server(const std::filesystem::path& config_file);

/// A change by this command.
audit::change change_by_command(const char* action, std::string object, boost::json::value before,
                                boost::json::value after);

/// Of a change that was answered with `p`: refused, failed, or unknown if it may have been made all the same.
audit::verdict verdict_of(const api::problem& p);

/// Records the intent, then calls `act`, which returns a status or a result, then records its outcome: that of the
/// error, or `ended(value)`. If the intent cannot be recorded, `act` is not called, and this error is returned.
template <class Act, class Ended>
std::invoke_result_t<Act> with_audit(audit::trail& trail, const audit::change& c, Act act, Ended ended) {
  CPNS_TRY(auto ticket, trail.begin(c));
  auto done = act();
  // An outcome that cannot be written waits in the trail, which logs it; the next start asks the store.
  static_cast<void>(trail.finish(std::move(ticket), done ? ended(done) : audit::outcome_of(done)));
  return done;
}
template <class Act>
std::invoke_result_t<Act> with_audit(audit::trail& trail, const audit::change& c, Act act) {
  return with_audit(trail, c, std::move(act), [](const auto&) { return audit::outcome{}; });
}

/// The chain of a stopped role, for a check.
struct role_chain {
  std::filesystem::path file;         ///< of the trail; empty: the trail is off
  std::optional<audit::chain> chain;  ///< nullopt: the role has begun none
  config::role_kind role{};
  std::optional<opened_store> store;  ///< this and the locks keep the role from starting
  std::vector<descriptor> locks;
};
/// Creates nothing. store_locked if the role runs; errors of the configuration and of the store.
result<role_chain> load_chain(const std::filesystem::path& config_file);

}  // namespace cpns::cli
