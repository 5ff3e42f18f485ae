#pragma once
// Pages of the PNEs of a gateway, in the order of their Entity IDs.

#include <cstddef>
#include <functional>
#include <string>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "actors/pn_gw/actors.hpp"
#include "actors/pn_gw/gateway_metrics.hpp"
#include "actors/pn_gw/key_store.hpp"
#include "base/result.hpp"

namespace cpns::actors {

struct pnes_wanted {
  std::size_t limit = 100;    ///< most rows of the page, at least 1
  std::string after, prefix;  ///< of Entity IDs
  std::string state;          ///< empty: any
};

/// PNEs that one page with a filter by state looks at: its state is known only when a PNE is asked.
inline constexpr std::size_t pnes_looked_at_max = 1000;

/// Answers a sup_page.
using live_pnes_fn = std::function<result<boost::json::array>(sup_page)>;

/// {"pnes": [describe_device, ...], "next": an Entity ID, or null on the last page}. With a state, a page may have fewer
/// rows than `limit`, and still a next one. `known`: all PNEs of the gateway. Reads the rows of one page alone, in the thread of
/// the caller. Errors of the store and of `live`.
result<boost::json::object> page_of_pnes(const key_store& store, const pne_tally& known,
                                         const pnes_wanted& wanted, const live_pnes_fn& live);

}  // namespace cpns::actors
