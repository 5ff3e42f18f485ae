#include "cli/admin_api.hpp"

#include <boost/json.hpp>

#include "audit/server_states.hpp"
#include "cli/device_members.hpp"

namespace cpns::cli {

server::admin_parts admin_parts_of(const storage::sealed_store& store) {
  using read_state = result<boost::json::value> (*)(const storage::sealed_store&, const std::string&);
  const auto state = [&store](read_state read) {
    return [&store, read](const std::string& name) { return read(store, name).value_or(nullptr); };
  };
  return {.user = state(audit::user_state),
          .device = state(audit::device_state),
          .entity = state(audit::entity_state),
          .batch = state(audit::batch_state),
          .read_device = [](const api::request& r) -> api::checked<protocol::device_secret_record> {
            CPNS_TRY(const auto m, read_members(r));
            return make_device(m);
          }};
}

}  // namespace cpns::cli
