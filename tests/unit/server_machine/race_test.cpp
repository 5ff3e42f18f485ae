// Two servers, one entity: every interleaving of their reads and writes.
#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "tests/unit/server_machine/harness.hpp"

namespace cpns::testing_people {
namespace {

/// The row that both servers share, written only at the version that was read.
struct shared_row {
  secret_bytes value;
  std::uint64_t version = 0;
};

/// One server with one piece of work. Each step is one access to the row: a read, or the write that was decided on.
class server_node {
 public:
  using body = std::variant<assigned_keys, refusal>;

  server_node(harness& world, shared_row& row, std::function<void(assignment_machine&)> begin)
      : world_(world), row_(row), begin_(std::move(begin)) {}

  [[nodiscard]] bool done() const { return done_; }
  [[nodiscard]] const std::optional<body>& answer() const { return answer_; }

  void step() {
    if (change_)
      write();
    else
      read();
  }

 private:
  void read() {
    version_ = row_.version;
    entity_record r;
    r.entity = world_.device.entity;
    if (!row_.value.empty()) r = decode_entity_record(row_.value.expose()).value();
    if (machine_) {
      machine_->handle_conflict(world_.now, std::move(r));
      if (machine_->state() == assignment_state::idle) begin_(*machine_);  // a report is handled again
    } else {
      machine_.emplace(world_.settings, std::move(r), suite(), world_.random);
      begin_(*machine_);
    }
    pump();
  }
  void write() {
    const auto change = *std::exchange(change_, std::nullopt);
    if (row_.version != version_) return;  // lost: the next step reads
    row_.value = encode(change);
    version_ = ++row_.version;
    pump();
  }
  void pump() {
    while (auto out = machine_->poll_output()) {
      if (std::get_if<assignment_fetch_user>(&*out) != nullptr)
        machine_->handle_user(world_.now, world_.alice.record);
      else if (std::get_if<assignment_fetch_device>(&*out) != nullptr)
        machine_->handle_device(world_.now, world_.imported);
      else if (auto* p = std::get_if<assignment_persist>(&*out))
        return change_.emplace(*p->record), void();
      else if (auto* a = std::get_if<assignment_answer>(&*out))
        answer_ = std::move(a->body);
    }
    done_ = true;
  }

  harness& world_;
  shared_row& row_;
  std::function<void(assignment_machine&)> begin_;
  std::optional<assignment_machine> machine_;
  std::uint64_t version_ = 0;
  std::optional<entity_record> change_;
  std::optional<body> answer_;
  bool done_ = false;
};

/// The work of one server, made from a harness whose row is already as the scenario wants it.
using work = std::function<std::function<void(assignment_machine&)>(harness&)>;

std::function<void(assignment_machine&)> request(harness& w, const gateway_id& gw, assignment_reason why,
                                                 const request_id& id) {
  auto r = make_request(w.alice, w.device, why, w.meet(gw));
  prove(r, w.alice, w.exporter);
  return [&w, gw, id, r](assignment_machine& m) {
    m.handle_request(w.now, received({gw, w.exporter}, id, r));
  };
}

/// The answers of two servers, and the row that they left.
struct outcome {
  std::optional<server_node::body> first, second;
  entity_record row;
};

/// One run for each order in which two servers may access the row; `schedule` has a bit per step.
void in_every_order(const std::function<void(harness&)>& before, const work& one, const work& two,
                    const std::function<void(const outcome&, harness&, const std::string& order)>& check) {
  constexpr unsigned steps = 10;
  std::set<std::string> seen;
  for (unsigned schedule = 0; schedule < 1U << steps; ++schedule) {
    harness w;
    before(w);
    shared_row row{secret_bytes(w.row.expose()), 5};
    server_node a(w, row, one(w)), b(w, row, two(w));
    std::string order;
    for (unsigned i = 0; !a.done() || !b.done(); ++i) {
      const bool takes_a = b.done() || (!a.done() && (i >= steps || (schedule >> i & 1U) == 0));
      (takes_a ? a : b).step();
      order += takes_a ? 'a' : 'b';
      ASSERT_LT(order.size(), 40U) << "the servers do not end: " << order;
    }
    if (!seen.insert(order).second) continue;
    SCOPED_TRACE(order);
    check({a.answer(), b.answer(), decode_entity_record(row.value.expose()).value()}, w, order);
  }
  EXPECT_GE(seen.size(), 6U) << "the orders of two reads and two writes";
}

/// Each key of an answer, by its epoch, is in the row; no epoch stands for two keys.
void expect_no_index_twice(const outcome& o) {
  std::map<epoch, bytes> keys;
  for (const auto* answer : {&o.first, &o.second}) {
    const auto* k = *answer ? std::get_if<assigned_keys>(&**answer) : nullptr;
    if (k == nullptr) continue;
    for (std::size_t i = 0; i < k->eukeys.size(); ++i) {
      const epoch e{k->generation, static_cast<std::uint16_t>(k->first_index + i)};
      const auto key = to_bytes(k->eukeys[i].expose());
      EXPECT_EQ(keys.try_emplace(e, key).first->second, key) << e.text() << " was issued with two keys";
      const auto kept = std::find_if(o.row.sets.begin(), o.row.sets.end(),
                                     [&](const eukey_set& s) { return s.generation == k->generation; });
      ASSERT_NE(kept, o.row.sets.end());
      EXPECT_TRUE(kept->eukeys.at(e.index() - kept->first_index) == k->eukeys[i]) << e.text();
    }
  }
}

TEST(two_servers, issue_no_index_twice_for_two_first_requests_of_one_gateway) {
  const auto ask = [](harness& w) {
    return request(w, w.gw, assignment_reason::first, w.random.draw_id<request_id>());
  };
  in_every_order([](harness&) {}, ask, ask,
                 [](const outcome& o, harness&, const std::string&) {
                   EXPECT_EQ(name_of(status_of(*o.first)), name_of(link_status::ok));
                   EXPECT_EQ(name_of(status_of(*o.second)), name_of(link_status::ok));
                   expect_no_index_twice(o);
                 });
}

TEST(two_servers, give_one_set_for_one_request_that_reaches_both) {
  // A gateway that lost its connection sends the same bytes with the same id to another node.
  std::function<void(assignment_machine&)> made;
  const auto ask = [&made](harness& w) {
    return made = request(w, w.gw, assignment_reason::first, w.random.draw_id<request_id>());
  };
  const auto repeat = [&made](harness&) { return made; };
  in_every_order([](harness&) {}, ask, repeat,
                 [](const outcome& o, harness&, const std::string&) {
                   expect_no_index_twice(o);
                   EXPECT_EQ(keys_of(*o.first).set, keys_of(*o.second).set);
                   EXPECT_EQ(keys_of(*o.first).eukeys, keys_of(*o.second).eukeys);
                   EXPECT_EQ(o.row.sets.size(), 1U) << "one set was made";
                 });
}

TEST(two_servers, let_one_of_two_gateways_hold_a_device) {
  const auto by = [](gateway_id harness::*gw) {
    return [gw](harness& w) {
      return request(w, w.*gw, assignment_reason::first, w.random.draw_id<request_id>());
    };
  };
  in_every_order([](harness&) {}, by(&harness::gw), by(&harness::other_gw),
                 [](const outcome& o, harness& w, const std::string&) {
                   const bool first = status_of(*o.first) == link_status::ok;
                   EXPECT_NE(first, status_of(*o.second) == link_status::ok) << "one of them holds it";
                   EXPECT_EQ(o.row.holder, first ? w.gw : w.other_gw);
                   EXPECT_EQ(name_of(status_of(first ? *o.second : *o.first)),
                             name_of(link_status::held_by_other));
                   expect_no_index_twice(o);
                 });
}

TEST(two_servers, lose_no_report_and_no_refill) {
  in_every_order(
      [](harness& w) { w.deliver(w.first(), 0); },
      [](harness& w) { return request(w, w.gw, assignment_reason::refill, w.random.draw_id<request_id>()); },
      [](harness& w) -> std::function<void(assignment_machine&)> {
        return [&w](assignment_machine& m) { m.handle_report(w.now, w.gw, {1, 0}); };
      },
      [](const outcome& o, harness&, const std::string&) {
        EXPECT_EQ(name_of(status_of(*o.first)), name_of(link_status::ok));
        EXPECT_EQ(o.row.last_report, (epoch{1, 0})) << "the report is in the row";
        expect_no_index_twice(o);
      });
}

TEST(two_servers, ask_the_gateway_to_come_again_after_too_many_lost_races) {
  harness w;
  shared_row row;
  server_node node(w, row, request(w, w.gw, assignment_reason::first, w.random.draw_id<request_id>()));
  int reads = 0;
  while (!node.done()) {
    node.step();
    if (reads++ % 2 == 0) ++row.version;  // another server is faster after each read
    ASSERT_LT(reads, 20);
  }
  EXPECT_EQ(name_of(status_of(*node.answer())), name_of(link_status::overloaded));
  EXPECT_TRUE(row.value.empty()) << "nothing of it was written";
}

}  // namespace
}  // namespace cpns::testing_people
