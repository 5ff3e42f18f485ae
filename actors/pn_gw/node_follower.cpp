#include "actors/pn_gw/node_follower.hpp"

#include <algorithm>
#include <utility>

#include "actors/pn_gw/link_lines.hpp"
#include "protocol/node_codec.hpp"

namespace cpns::actors {

void node_follower::up(std::string server, bool may_ask) {
  down();
  server_ = std::move(server);
  may_ask_ = may_ask;
}

void node_follower::down() {
  may_ask_ = false;
  leave_at_.reset();
  asked_for_ = time_never;
}

std::optional<result<bytes>> node_follower::take(byte_view frame, time_point now, std::uint64_t incarnation,
                                                 entropy& random) {
  if (!may_ask_ || !protocol::begins_node_request(frame)) return std::nullopt;
  const auto asked = protocol::decode_node_request(frame);
  if (!asked) return result<bytes>{fail(asked.error())};
  auto type = protocol::node_type::nodes_acknowledged;
  if (const auto* drain = std::get_if<protocol::drain_order>(&asked->body)) {
    type = protocol::node_type::drain_acknowledged;
    obey(*drain, now, random);
  } else {
    obey(std::get<protocol::node_list>(asked->body), now);
  }
  return result<bytes>{protocol::encode(protocol::node_acknowledgement{asked->id, incarnation, type})};
}

void node_follower::obey(const protocol::drain_order& m, time_point now, entropy& random) {
  const milliseconds within{m.within_ms};
  const bool another = servers_->knows_another(now);
  link_lines::asked_to_leave(server_, within, another);
  servers_->drain(server_, now, within);
  // In the first half, so that the answers that are open then arrive in the second.
  const auto spread = static_cast<std::uint64_t>(within.count()) / 2;
  leave_at_ = another ? now + milliseconds{static_cast<std::int64_t>(random.below(spread + 1))} : now;
}

void node_follower::obey(const protocol::node_list& m, time_point now) { servers_->learn(m.addresses, now); }

node_follower::silence_t node_follower::judge(time_point now, time_point unanswered_since) {
  if (unanswered_since == time_never || !servers_->knows_another(now)) return silence_t::nothing;
  if (now - unanswered_since >= silence_) return silence_t::leave;
  if (now - unanswered_since < silence_ / 2 || asked_for_ == unanswered_since) return silence_t::nothing;
  asked_for_ = unanswered_since;
  return silence_t::ask;
}

time_point node_follower::next_look(time_point now, time_point unanswered_since) const {
  auto at = time_never;
  if (leave_at_ && *leave_at_ > now) at = *leave_at_;
  // A server whose drain is over by then is another one.
  if (unanswered_since == time_never || !servers_->knows_another(std::max(now, unanswered_since + silence_)))
    return at;
  return std::min(at, unanswered_since + (asked_for_ == unanswered_since ? silence_ : silence_ / 2));
}

}  // namespace cpns::actors
