// Every event in every state: the table is total, and the machines obey it.
#include <gtest/gtest.h>

#include <set>

#include "tests/unit/machines/harness.hpp"

namespace cpns::test {
namespace {

using namespace protocol;
using namespace std::chrono_literals;

template <class Table>
void accepts_change_or_act(const Table& table) {
  for (const auto& r : table) {
    EXPECT_TRUE(r.what == fsm::verdict::accept || r.from == r.to)
        << name_of(r.from) << " " << name_of(r.event);
    EXPECT_FALSE(r.note.empty());
  }
}

TEST(tables, ignored_and_rejected_triggers_change_no_state) {
  accepts_change_or_act(pne_table);
  accepts_change_or_act(pn_gw_table);
}

TEST(tables, every_name_is_unique) {
  std::set<std::string_view> names;
  for (std::size_t i = 0; i < fsm::count<pn_gw_state>; ++i)
    names.insert(name_of(static_cast<pn_gw_state>(i)));
  EXPECT_EQ(names.size(), fsm::count<pn_gw_state>);
  names.clear();
  for (std::size_t i = 0; i < fsm::count<pne_trigger>; ++i)
    names.insert(name_of(static_cast<pne_trigger>(i)));
  EXPECT_EQ(names.size(), fsm::count<pne_trigger>);
}

template <class Table, class State>
bool some_row(const Table& table, State from, State to) {
  if (from == to) return true;
  for (const auto& r : table)
    if (r.what == fsm::verdict::accept && r.from == from && r.to == to) return true;
  // One call may walk two or three rows (settled, then deliver).
  for (const auto& r : table)
    if (r.what == fsm::verdict::accept && r.from == from && r.to != from)
      for (const auto& q : table)
        if (q.what == fsm::verdict::accept && q.from == r.to && q.to == to) return true;
  return false;
}

/// Runs the harness until the gateway's machine is in state `wanted`.
void lead(harness& w, pn_gw_state wanted) {
  const auto reached = [&] { return w.gw && w.gw->state() == wanted; };
  using st = pn_gw_state;
  switch (wanted) {
  case st::found: return;
  case st::validating:
    // The gateway holds a set without a confirmed key, so it waits for the device's answer.
    w.before_output = [&w, crashed = false](side which, int) mutable {
      const auto* next = w.gw_disk.find(epoch{1, 0});
      if (which != side::gw || crashed || next == nullptr || !was_handed_out(next->use)) return false;
      return crashed = true;
    };
    w.connect();
    break;
  case st::awaiting_approval:
  case st::requesting:
  case st::publishing:
  case st::delivering: w.connect(); break;
  case st::keyed: w.connect(); break;
  case st::updating:
  case st::recovering:
    w.connect();
    w.run(5s);
    if (wanted == st::recovering) w.pne->handle_factory_reset(w.now);
    w.gw->handle_update_request(w.now);
    break;
  case st::asleep:
    w.connect();
    w.run(5s);
    w.disconnect();
    break;
  case st::held_elsewhere:
    w.server.holder = gateway_id{{9}};
    w.connect();
    break;
  case st::quarantined:
  case st::rejected:
  case st::revoked:
    w.gw_disk.standing = wanted == st::quarantined ? device_standing::quarantined
                         : wanted == st::rejected  ? device_standing::rejected
                                                   : device_standing::revoked;
    w.power_on(side::gw);
    return;
  case st::backing_off:
    w.server_up = false;
    w.connect();
    break;
  case st::count_: return;
  }
  (void)w.run_until(reached, 30s);
}

harness_options options_for(pn_gw_state wanted) {
  harness_options o;
  if (wanted == pn_gw_state::awaiting_approval || wanted == pn_gw_state::validating)
    o.policy = validation_policy::automatic;
  if (wanted == pn_gw_state::awaiting_approval) o.policy = validation_policy::ask;
  if (wanted == pn_gw_state::publishing) o.consumer_wait = 2s, o.late_consumers = 100;
  return o;
}

/// Every kind of input of a gateway's machine.
std::vector<std::function<void(harness&)>> gateway_inputs() {
  using w_t = harness&;
  std::vector<std::function<void(harness&)>> all;
  const auto send = [&all](const bytes& m) {
    all.push_back([m](w_t w) { w.gw->handle_frame(w.now, w.link.value_or(gw_link{}), m); });
  };
  send({});
  send({0xff, 0x00});
  send(encode(key_confirmation{epoch{1, 0}, {}}));
  send(encode(key_retire{epoch{1, 0}, {}}));
  send(encode(pne_notice{pne_notice::kind_t::awake}));
  send(encode(pne_notice{pne_notice::kind_t::going_to_sleep}));
  send(encode(failure{failure::reason_t::refused}));
  discovery_response drsp;
  drsp.entity = *entity_id::parse("urn:dev:mac:0024befffe804ff1");
  drsp.suite = suite_symmetric;
  send(encode(drsp));
  discovery_request dreq;
  dreq.gw = harness_options{}.gw;
  dreq.suites = {suite_symmetric};
  send(encode(dreq));
  const auto request_bytes = encode(dreq), answer_bytes = encode(drsp);
  all.push_back([=](w_t w) { w.gw->handle_detected(w.now, gw_link{5, 5}, request_bytes, answer_bytes); });
  all.push_back([](w_t w) { w.gw->handle_detected(w.now, gw_link{5, 5}, bytes{1}, bytes{2}); });
  all.push_back([](w_t w) { w.gw->handle_link_down(w.now, w.link.value_or(gw_link{})); });
  all.push_back([](w_t w) { w.gw->handle_link_down(w.now, gw_link{8, 8}); });
  all.push_back([](w_t w) { w.gw->handle_issuer_nonce(w.now, std::nullopt); });
  all.push_back([](w_t w) { w.gw->handle_issuer_nonce(w.now, nonce16{}); });
  all.push_back([](w_t w) { w.gw->handle_approval(w.now, true); });
  all.push_back([](w_t w) { w.gw->handle_approval(w.now, false); });
  all.push_back([](w_t w) { w.permit(1h); });
  all.push_back([](w_t w) { w.permit(0s); });
  all.push_back([](w_t w) { w.o.policy = validation_policy::ask, w.permit(0s); });
  all.push_back([](w_t w) { w.gw->handle_update_request(w.now); });
  all.push_back([](w_t w) { w.gw->handle_timeout(w.now); });
  all.push_back([](w_t w) { w.gw->handle_timeout(w.now + 24h); });
  all.push_back([](w_t w) { w.gw->handle_persist_failed(w.now); });
  all.push_back([](w_t w) { w.gw->handle_consumers_ready(w.now, epoch{1, 0}); });
  all.push_back([](w_t w) { w.gw->handle_consumers_ready(w.now, epoch{9, 9}); });
  all.push_back([](w_t w) { w.gw->handle_response(w.now, request_id{}, assigned_keys{}, 1); });
  all.push_back([](w_t w) {
    w.gw->handle_response(w.now, w.gw->record().request.value_or(request_id{}), assigned_keys{}, 1);
  });
  for (int status = 0; status <= static_cast<int>(link_status::internal); ++status)
    all.push_back([status](w_t w) {
      w.gw->handle_refusal(w.now, w.gw->record().request.value_or(request_id{}),
                           refusal{static_cast<link_status>(status), 1, "x"});
    });
  for (const auto outcome : {report_outcome::ok, report_outcome::not_holder, report_outcome::resync})
    all.push_back([outcome](w_t w) {
      w.gw->handle_report_outcome(w.now, w.gw->record().to_report.value_or(epoch{}), outcome);
    });
  return all;
}

TEST(tables, every_input_in_every_state_of_the_gateway_follows_the_table) {
  const auto inputs = gateway_inputs();
  for (std::size_t i = 0; i < fsm::count<pn_gw_state>; ++i) {
    const auto wanted = static_cast<pn_gw_state>(i);
    for (std::size_t n = 0; n < inputs.size(); ++n) {
      harness w{options_for(wanted)};
      lead(w, wanted);
      ASSERT_EQ(w.gw->state(), wanted) << "state " << name_of(wanted) << " was not reached";
      inputs[n](w);
      EXPECT_TRUE(some_row(pn_gw_table, wanted, w.gw->state()))
          << name_of(wanted) << " -> " << name_of(w.gw->state()) << ", input " << n;
      w.run(100ms);
      EXPECT_EQ(w.faults, std::vector<std::string>{}) << name_of(wanted) << ", input " << n;
    }
  }
}

TEST(tables, every_input_in_every_state_of_the_pne_follows_the_table) {
  using st = pne_state;
  const auto gw = harness_options{}.gw;
  std::vector<std::function<void(harness&)>> inputs;
  const auto send = [&inputs](const bytes& m) {
    inputs.push_back([m](harness& w) { w.pne->handle_frame(w.now, {}, m); });
  };
  send({});
  send({0x82, 0x18});
  discovery_request dreq;
  dreq.gw = gw;
  dreq.suites = {suite_symmetric, suite_x25519};
  send(encode(dreq));
  dreq.version = 2;
  send(encode(dreq));
  dreq.version = 1;
  dreq.suites = {9};
  send(encode(dreq));
  key_delivery kdel;
  kdel.which = epoch{1, 9};
  kdel.sealed = bytes(80, 1);
  send(encode(kdel));
  kdel.which = epoch{900, 9};
  send(encode(kdel));
  send(encode(key_confirmation{epoch{1, 0}, {}}));
  send(encode(key_retire{epoch{1, 0}, {}}));
  send(encode(key_retire{epoch{7, 0}, {}}));
  send(encode(pne_notice{}));
  send(encode(failure{}));
  inputs.push_back([](harness& w) { w.pne->handle_timeout(w.now); });
  inputs.push_back([](harness& w) { w.pne->handle_timeout(w.now + 2min); });
  inputs.push_back([](harness& w) { w.pne->handle_wake(w.now); });
  inputs.push_back([](harness& w) { w.pne->handle_sleep(w.now); });
  inputs.push_back([](harness& w) { w.pne->handle_button(w.now); });
  inputs.push_back([](harness& w) { w.pne->handle_factory_reset(w.now); });
  inputs.push_back([](harness& w) { w.pne->handle_persist_failed(w.now); });
  for (const auto wanted : {st::unkeyed, st::answering, st::pending, st::keyed})
    for (std::size_t n = 0; n < inputs.size(); ++n) {
      harness w;
      if (wanted == st::pending)
        w.tap = [](side, bytes& m) { return !std::holds_alternative<key_retire>(*decode_radio(m)); };
      if (wanted != st::unkeyed) w.connect();
      ASSERT_TRUE(w.run_until([&] { return w.pne->state() == wanted; }, 30s)) << name_of(wanted);
      inputs[n](w);
      EXPECT_TRUE(some_row(pne_table, wanted, w.pne->state()))
          << name_of(wanted) << " -> " << name_of(w.pne->state()) << ", input " << n;
      w.run(100ms);
      EXPECT_EQ(w.faults, std::vector<std::string>{}) << name_of(wanted) << ", input " << n;
    }
}

}  // namespace
}  // namespace cpns::test
