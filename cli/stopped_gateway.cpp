#include "cli/stopped_gateway.hpp"

#include <boost/json.hpp>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "actors/pn_gw/history.hpp"
#include "actors/pn_gw/views.hpp"
#include "base/text.hpp"

namespace cpns::cli {

stopped_gateway::stopped_gateway(opened_store store)
    : store_(std::move(store)),
      pnes_(std::make_unique<actors::key_store>(
          store_.sealed(), [](const storage::sealed_batch&, const storage::commit_done& done) {
            done(fail(errc::internal, "this command only reads the store"));
          })) {}

result<stopped_gateway> stopped_gateway::open(const config::gateway_config& c) {
  if (c.store.kind == config::store_kind::memory)
    return fail(errc::config_usage, "the gateway is stopped, and keeps its store in memory");
  // Opening would create a store.
  std::error_code ec;
  if (!std::filesystem::exists(c.store.path, ec))
    return fail(errc::state_unknown, "a store of this gateway: there is nothing at " + c.store.path.string());
  CPNS_TRY(auto store, opened_store::open(c.store, c.protector, config::role_kind::gateway));
  stopped_gateway out{std::move(store)};
  std::mutex guard;
  std::vector<std::pair<shared_text, actors::pne_facts>> known;
  CPNS_CHECK(out.pnes_->summaries(
      [&](const protocol::device_summary& s) {
        const std::lock_guard lock{guard};
        known.emplace_back(shared_text{s.entity.text()}, actors::facts_of(s, {}));
      },
      [&](const error& e) {
        const std::lock_guard lock{guard};
        std::cerr << "cpns: warning: left out: " << e.message() << "\n";
      }));
  out.known_->put_all(std::move(known));
  return out;
}

result<boost::json::object> stopped_gateway::page(const actors::pnes_wanted& wanted) const {
  if (!wanted.state.empty() && !actors::is_pne_state(wanted.state))
    return fail(errc::config_range, "no PNE can be in the state " + shown(wanted.state));
  return actors::page_of_pnes(*pnes_, *known_, wanted,
                              [](const actors::sup_page&) { return boost::json::array{}; });
}

result<boost::json::object> stopped_gateway::show(const std::string& entity) const {
  CPNS_TRY(const auto id, entity_id::parse(entity));
  auto found = actors::show_stored_device(*pnes_, id.text());
  if (!found.is_object()) return fail(errc::state_unknown, "the gateway has no device " + id.text());
  actors::describe_past(found.get_object(), {});
  return std::move(found.get_object());
}

}  // namespace cpns::cli
