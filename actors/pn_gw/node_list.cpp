#include "actors/pn_gw/node_list.hpp"

#include <algorithm>
#include <boost/json.hpp>
#include <utility>

#include "base/text.hpp"
#include "config/values.hpp"
#include "crypto/suite.hpp"
#include "protocol/constants.hpp"

namespace cpns::actors {

node_list::node_list(std::vector<config::address> configured, const gateway_id& gw) : gw_(gw) {
  for (auto& a : configured) add(std::move(a), true, time_zero);
}

void node_list::add(config::address where, bool configured, time_point confirmed) {
  node n{std::move(where), {}, {}, configured, confirmed, std::nullopt};
  n.text = n.where.text();
  if (find(n.text) != nullptr) return;
  bytes in = to_bytes(gw_.value);
  const auto text = as_bytes(n.text);
  in.insert(in.end(), text.begin(), text.end());
  n.place = crypto::openssl_suite().sha256(in);
  const auto at =
      std::find_if(nodes_.begin(), nodes_.end(), [&n](const node& o) { return n.place < o.place; });
  nodes_.insert(at, std::move(n));
}

node_list::node* node_list::find(const std::string& text) {
  const auto at =
      std::find_if(nodes_.begin(), nodes_.end(), [&text](const node& n) { return n.text == text; });
  return at == nodes_.end() ? nullptr : &*at;
}

std::size_t node_list::usable() const {
  return static_cast<std::size_t>(
      std::count_if(nodes_.begin(), nodes_.end(), [](const node& n) { return !n.drained; }));
}

void node_list::forget_old(time_point now) {
  std::erase_if(nodes_, [this, now](const node& n) {
    return !n.configured && now - n.confirmed >= protocol::node_memory && !(up_ && n.text == last_);
  });
}

config::address node_list::next(time_point now) {
  const std::lock_guard lock{guard_};
  forget_old(now);
  const auto found =
      std::find_if(nodes_.begin(), nodes_.end(), [this](const node& n) { return n.text == last_; });
  std::size_t at = 0;
  if (!from_first_ && found != nodes_.end()) at = static_cast<std::size_t>(found - nodes_.begin()) + 1;
  const bool all = failures_ >= usable();  // the others were tried
  for (std::size_t step = 0; step < nodes_.size(); ++step) {
    const auto& n = nodes_[(at + step) % nodes_.size()];
    if (n.drained && !all && !(after_fault_ && now >= *n.drained)) continue;
    last_ = n.text;
    from_first_ = false;
    return n.where;
  }
  return nodes_.front().where;  // not reached: `all` holds if every one drains
}

void node_list::reached() {
  const std::lock_guard lock{guard_};
  failures_ = 0;
  up_ = true;
  after_fault_ = false;
  if (auto* n = find(last_)) n->drained.reset();
}

void node_list::failed() {
  const std::lock_guard lock{guard_};
  if (!std::exchange(up_, false)) ++failures_;
  after_fault_ = true;
}

void node_list::ended() {
  const std::lock_guard lock{guard_};
  up_ = false;
  after_fault_ = false;
  from_first_ = true;
}

void node_list::learn(const std::vector<std::string>& addresses, time_point now) {
  const std::lock_guard lock{guard_};
  for (const auto& text : addresses) {
    if (auto* known = find(text)) {
      known->confirmed = now;
      if (known->drained && now >= *known->drained) known->drained.reset();
    } else if (auto where = config::parse_address(text)) {
      add(std::move(*where), false, now);
    }
  }
  forget_old(now);
  const auto learned = [](const node& n) { return !n.configured; };
  while (static_cast<std::size_t>(std::count_if(nodes_.begin(), nodes_.end(), learned)) > protocol::nodes_max)
    nodes_.erase(std::min_element(nodes_.begin(), nodes_.end(), [](const node& a, const node& b) {
      return std::pair{a.configured, a.confirmed} < std::pair{b.configured, b.confirmed};
    }));
}

void node_list::drain(const std::string& address, time_point now, milliseconds within) {
  const std::lock_guard lock{guard_};
  if (auto* n = find(address)) n->drained = now + within;
}

bool node_list::knows_another(time_point now) const {
  const std::lock_guard lock{guard_};
  return std::any_of(nodes_.begin(), nodes_.end(), [&](const node& n) {
    return n.text != last_ && (!n.drained || now >= *n.drained) &&
           (n.configured || now - n.confirmed < protocol::node_memory);
  });
}

std::size_t node_list::size() const {
  const std::lock_guard lock{guard_};
  return std::max<std::size_t>(1, usable());
}

boost::json::array node_list::view(time_point now) const {
  const std::lock_guard lock{guard_};
  boost::json::array out;
  for (const auto& n : nodes_) {
    if (!n.configured && now - n.confirmed >= protocol::node_memory) continue;
    out.push_back(boost::json::object{{"address", n.text},
                                      {"source", n.configured ? "configured" : "learned"},
                                      {"in_use", up_ && n.text == last_},
                                      {"draining", n.drained.has_value()}});
  }
  return out;
}

}  // namespace cpns::actors
