#pragma once
// The PNEs of a gateway that is stopped, for `cpns pnes list` and `show`.

#include <boost/json/object.hpp>
#include <memory>
#include <string>

#include "actors/pn_gw/key_store.hpp"
#include "actors/pn_gw/listing.hpp"
#include "cli/stores.hpp"
#include "config/schema.hpp"

namespace cpns::cli {

/// A running gateway describes PNEs that are not in reach from its store. This object makes the same JSON from the same
/// rows. It changes nothing. Not thread-safe.
class stopped_gateway {
 public:
  /// store_locked if the gateway runs; state_unknown if it has no store yet; config_usage if its store is in memory; errors
  /// of opened_store::open.
  static result<stopped_gateway> open(const config::gateway_config& c);

  /// As GET /v1/pnes answers. config_range if no PNE can be in `wanted.state`.
  result<boost::json::object> page(const actors::pnes_wanted& wanted) const;
  /// As GET /v1/pnes/{entity} answers after a start: without events. state_unknown if the store does not have it.
  result<boost::json::object> show(const std::string& entity) const;

 private:
  explicit stopped_gateway(opened_store store);
  opened_store store_;
  std::unique_ptr<actors::key_store> pnes_;
  std::unique_ptr<actors::pne_tally> known_ =
      std::make_unique<actors::pne_tally>(0);  ///< all rows of `pnes_`
};

}  // namespace cpns::cli
