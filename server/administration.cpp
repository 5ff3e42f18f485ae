#include "server/administration.hpp"

#include <boost/json.hpp>
#include <chrono>
#include <map>
#include <utility>

#include "base/log.hpp"
#include "base/text.hpp"
#include "server/awaited_write.hpp"
#include "server/gateway_orders.hpp"

namespace cpns::server {
namespace {

tl::unexpected<error> not_confirmed() {
  return fail(errc::peer_timeout,
              "the store did not confirm the change in time; read the object to see whether it was made");
}

status confirmed(awaited_write& change, milliseconds longest) {
  auto outcome = change.wait(longest);
  if (!outcome) return not_confirmed();
  return std::move(*outcome);
}

boost::json::value time_text(std::int64_t unix_time) {
  if (unix_time == 0) return nullptr;
  return boost::json::value(rfc3339_text(time_point(seconds(unix_time))));
}

const std::shared_ptr<const peer_info>& administrator() {
  static const auto who = std::make_shared<const peer_info>(peer_info{{}, "administration", {}, {}});
  return who;
}

const std::vector<gateway_place>& places_of(const other_gateways::places& all, const gateway_id& gw) {
  static const std::vector<gateway_place> none;
  const auto at = all.find(gw);
  return at == all.end() ? none : at->second;
}

}  // namespace

result<gateway_name> gateway_name::parse(const std::string& text) {
  CPNS_TRY(const auto gw, parse_gateway(text));
  return gateway_name{gw, text.find(':') == std::string::npos ? std::string{} : text};
}

stale_row_sink administration::drop_stale() const {
  return [this](storage::sealed_batch batch) { role_.commit(std::move(batch), [](const status&) {}); };
}

status administration::write(storage::sealed_batch batch, storage::commit_done then) {
  awaited_write done;
  role_.commit(std::move(batch), done.callback(std::move(then)));
  return confirmed(done, change_time_);
}

status administration::change(change_turns& of, const std::function<status(const durable_write&)>& make,
                              storage::commit_done then) {
  auto turn = of.next(change_time_);
  if (!turn)
    return fail(errc::state_overloaded,
                "earlier changes wait for the store, so nothing was changed; try again later");
  CPNS_CHECK(role_.store.accepts_writes());
  return make([&](storage::sealed_batch batch) {
    // The turn lasts as long as the write, also after a wait that was too short.
    return write(std::move(batch), [turn, then](const status& done) {
      if (then) then(done);
    });
  });
}

status administration::change_user_row(const user_id& user,
                                       const std::function<status(const durable_write&)>& make) {
  // The directory outlives the committer, which this object does not.
  return change(*user_turns_, make, [&users = role_.users, user](const status&) { users.forget(user); });
}

status administration::add_user(const user_id& user, const secret_bytes& password) {
  const auto record = make_user(role_.suite, role_.random, user, password, role_.now());
  return change_user_row(user,
                         [&](const durable_write& to) { return server::add_user(role_.store, to, record); });
}

status administration::change_password(const user_id& user, const secret_bytes& password) {
  const auto record = make_user(role_.suite, role_.random, user, password, role_.now());
  return change_user_row(user, [&](const durable_write& to) { return change_user(role_.store, to, record); });
}

status administration::remove_user(const user_id& user) {
  return change_user_row(user,
                         [&](const durable_write& to) { return server::remove_user(role_.store, to, user); });
}

status administration::add_device(const protocol::device_secret_record& device) {
  return change(*role_.device_turns,
                [&](const durable_write& to) { return server::add_device(role_.store, to, device); });
}

status administration::remove_device(const entity_id& entity) {
  return change(*role_.device_turns,
                [&](const durable_write& to) { return server::remove_device(role_.store, to, entity); });
}

status administration::block_device(const entity_id& entity) {
  return change(*role_.device_turns,
                [&](const durable_write& to) { return server::block_device(role_.store, to, entity); });
}

status administration::add_batch(const std::string& batch, const std::vector<std::string>& ids) {
  CPNS_TRY(auto made, make_batch(role_.random, batch, ids, role_.now()));
  if (const auto* services = role_.temporary_keys.services()) CPNS_CHECK(services->accepts(made.ids));
  const auto record = std::make_shared<const protocol::batch_record>(std::move(made));
  return change(
      *batch_turns_,
      [&](const durable_write& to) { return server::add_batch(role_.store, *role_.batches, to, *record); },
      [book = role_.batches, record](const status& done) {
        if (done) book->put(record);
      });
}

status administration::remove_batch(const std::string& batch) {
  return change(
      *batch_turns_,
      [&](const durable_write& to) { return server::remove_batch(role_.store, *role_.batches, to, batch); },
      [book = role_.batches, batch](const status& done) {
        if (done) book->erase(batch);
      });
}

result<secret_bytes> administration::export_batch(const std::string& batch, const std::string& from,
                                                  const std::string& to, std::uint64_t most) const {
  const auto found = role_.batches->named(batch);
  if (!found) return unknown_batch(batch);
  CPNS_TRY(auto devices, devices_between(*found, from, to, most));
  return batch_list(role_.suite, *found, std::move(devices));
}

administration::release_outcome administration::begin_release(const entity_id& entity,
                                                              const std::optional<gateway_id>& only_from) {
  auto reply = std::make_shared<release_reply>();
  auto outcome = reply->outcome();
  auto j = std::make_shared<job>();
  j->number = role_.next_number++;
  j->entity = entity;
  j->from = administrator();
  j->what = job::release{std::move(reply), only_from};
  caf::anon_send(role_.dispatcher(), do_job{std::move(j)});
  return outcome;
}

result<released_entity> administration::end_release(release_outcome outcome, steady::time_point until) {
  if (outcome.wait_until(until) != std::future_status::ready) return not_confirmed();
  try {
    auto done = outcome.get();
    if (done)
      log::info("server", "entity-released", "an operator took the device from its holder",
                {{"entity", done->entity.text()}, {"gw", done->holder.hex()}});
    return done;
  } catch (const std::future_error&) {
    return fail(errc::peer_timeout, "the server ends; read the entity to see whether it was released");
  }
}

result<released_entity> administration::release(const entity_id& entity) {
  CPNS_TRY(const bool exists, role_.store.has(storage::table::entities, as_bytes(entity.text())));
  if (!exists)
    return fail(errc::state_unknown, "the device " + entity.text() + ": no key was ever assigned to it");
  return end_release(begin_release(entity, {}), steady::now() + change_time_);
}

result<administration::release_page> administration::release_held_by(const gateway_id& gw,
                                                                     const std::string& after) {
  CPNS_TRY(const auto page, held_entities_page(role_.store, {released_max, after}, gw, drop_stale()));
  release_page out;
  out.next = page.next;
  std::vector<release_outcome> outcomes;
  const auto until = steady::now() + change_time_;  // of all together
  for (const auto& e : page.held) outcomes.push_back(begin_release(e.entity, gw));
  std::optional<error> failed;
  for (auto& o : outcomes) {
    auto done = end_release(std::move(o), until);
    if (done)
      out.released.push_back(std::move(*done));
    else if (!(done.error() == errc::state_unknown))  // it has another holder by now, or none
      failed = std::move(done).error();
  }
  if (!failed) return out;
  failed->detail = "released " + std::to_string(out.released.size()) + " devices, then: " + failed->detail;
  return fail(std::move(*failed));
}

result<std::shared_ptr<const other_gateways::places>> administration::elsewhere() const {
  if (!role_.elsewhere) return std::make_shared<const other_gateways::places>();
  return role_.elsewhere->look();
}

void administration::add_connections(const gateway_id& gw, const std::vector<gateway_place>& elsewhere,
                                     boost::json::object& to) const {
  auto traffic = role_.gateways.traffic(role_.now(), gw);
  std::vector<gateway_place> places(elsewhere);
  places.push_back(
      {role_.name, {gw, std::move(traffic.connections), traffic.requests_per_minute, role_.work->of(gw)}});
  std::multimap<time_point, boost::json::object> connections;
  std::uint64_t requests_per_minute = 0, in_flight = 0;
  for (const auto& p : places) {
    requests_per_minute += p.what.requests_per_minute;
    in_flight += p.what.in_flight;
    for (const auto& c : p.what.connections)
      connections.emplace(c.since, boost::json::object{{"node", p.node},
                                                       {"address", c.address},
                                                       {"since", rfc3339_text(c.since)},
                                                       {"requests", c.requests},
                                                       {"protocol", c.protocol}});
  }
  boost::json::array listed;
  for (auto& [since, c] : connections) listed.push_back(std::move(c));
  to["connections"] = std::move(listed);
  to["requests_per_minute"] = requests_per_minute;
  to["in_flight"] = in_flight;
}

result<boost::json::object> administration::gateway(const gateway_id& gw) const {
  CPNS_TRY(const auto known, role_.known_gateways.find(gw));
  if (!known) return unknown_gateway(gw);
  CPNS_TRY(const auto others, elsewhere());
  auto out = server::view_of(*known, role_.known_gateways.blocked(gw));
  add_connections(gw, places_of(*others, gw), out);
  return out;
}

result<boost::json::object> administration::gateways(const page_asked& asked,
                                                     const gateway_filter& filter) const {
  CPNS_TRY(const auto others, elsewhere());
  return gateways_page(
      role_.store, asked, filter,
      {.blocked = [this](const gateway_id& gw) { return role_.known_gateways.blocked(gw); },
       .connected =
           [&](const gateway_id& gw) { return role_.gateways.connected(gw) || others->contains(gw); },
       .connections = [&](const gateway_id& gw,
                          boost::json::object& to) { add_connections(gw, places_of(*others, gw), to); }});
}

status administration::set_blocked(const gateway_name& who, std::int64_t since) {
  awaited_write done;
  role_.known_gateways.set_blocked(who.gw, who.uri, since, done.callback());
  return confirmed(done, change_time_);
}

status administration::block(const gateway_name& who) {
  CPNS_CHECK(role_.store.accepts_writes());
  CPNS_TRY(const bool again, role_.known_gateways.blocked_for_good(who.gw));
  if (again) return {};
  CPNS_CHECK(set_blocked(who, unix_seconds(role_.now())));
  log::warn("server", "gateway-blocked",
            "an operator blocked a gateway: it gets no keys; it can still deliver the keys that it holds "
            "until their "
            "date",
            {{"gateway", who.uri}, {"gw", who.gw.hex()}});
  return {};
}

status administration::unblock(const gateway_name& who) {
  CPNS_CHECK(set_blocked(who, 0));
  const auto known = role_.known_gateways.find(who.gw);
  log::info("server", "gateway-unblocked", "an operator unblocked a gateway",
            {{"gateway", known && *known ? (*known)->uri : who.uri}, {"gw", who.gw.hex()}});
  role_.gateways.close(who.gw, "the gateway is unblocked: it connects again and asks for keys at once");
  return {};
}

status administration::add_key(const std::string& identity, const crypto::psk_key& key) {
  CPNS_CHECK(parse_psk_identity(identity));
  CPNS_CHECK(role_.store.accepts_writes());
  awaited_write done;
  role_.known_gateways.add_key(identity, key, unix_seconds(role_.now()), done.callback());
  CPNS_CHECK(confirmed(done, change_time_));
  log::info("server", "gateway-key-added", "an operator lets a gateway connect by pre-shared key",
            {{"gateway", identity}});
  return {};
}

status administration::remove_key(const std::string& identity) {
  CPNS_CHECK(parse_psk_identity(identity));
  CPNS_CHECK(role_.store.accepts_writes());
  awaited_write done;
  role_.known_gateways.remove_key(identity, done.callback());
  CPNS_CHECK(confirmed(done, change_time_));
  log::warn("server", "gateway-key-removed",
            "an operator removed the pre-shared key of a gateway: its connections end, and it cannot connect",
            {{"gateway", identity}});
  return {};
}

result<administration::disconnected> administration::disconnect(const gateway_name& who) {
  disconnected out{role_.gateways.close(who.gw, "an operator disconnected the gateway")};
  CPNS_TRY(const auto known, role_.known_gateways.find(who.gw));
  if (!known && out.closed == 0) return unknown_gateway(who.gw);
  if (!role_.orders) return out;
  CPNS_TRY(auto others, role_.orders->close(who.gw, change_time_));
  out.closed += others.closed;
  out.unconfirmed = std::move(others.unconfirmed);
  return out;
}

boost::json::object view_of(const released_entity& r) {
  boost::json::object holder{{"gw", r.holder.hex()}, {"uri", nullptr}, {"since", time_text(r.since)}};
  if (!r.holder_uri.empty()) holder["uri"] = r.holder_uri;
  return {{"entity", r.entity.text()}, {"holder", std::move(holder)}};
}

}  // namespace cpns::server
