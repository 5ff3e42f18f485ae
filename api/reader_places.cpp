// Readers of events: each holds a connection for as long as it likes.

#include <string>
#include <utility>

#include "api/session.hpp"

namespace cpns::api::detail {
namespace {

problem too_many(std::size_t most, const char* whose) {
  return {503, "too-many-readers",
          "this role serves " + std::to_string(most) + " readers of events " + whose + "at most"};
}

}  // namespace

tl::expected<place, problem> shared_state::place_for_reader(const std::string& key) {
  const auto& most = parts.limits;
  auto own = readers_of_peers.take_below(key, most.event_readers_per_peer);
  if (!own)
    return tl::unexpected<problem>(
        too_many(most.event_readers_per_peer, "of one user, or one certificate, "));
  auto any = readers.take_below(all_readers, most.event_readers);
  if (!any) return tl::unexpected<problem>(too_many(most.event_readers, ""));
  return std::make_shared<std::pair<place, place>>(std::move(own), std::move(any));
}

}  // namespace cpns::api::detail
